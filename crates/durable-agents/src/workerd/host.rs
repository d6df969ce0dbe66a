//! One object's view of workerd.

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use durable_agents_core::demand;
use durable_agents_core::host::{Host, HostError, Level, Socket, Store, Surroundings, Target};
use durable_agents_core::http::{Request, Response};
use durable_agents_core::signature::VerifyingKey;
use futures::future::{LocalBoxFuture, ready};
use js_sys::futures::JsFuture;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{host_error, message_of, namespace_stub, promise_of_end};
use super::socket::JsSocket;
use super::store::SqlStore;
use super::worker::WorkerEnv;
use super::{body, exchange, sys};

pub(crate) struct WorkerHost {
    pub(crate) state: sys::State,
    pub(crate) around: WorkerEnv,
    store: SqlStore,
}

impl WorkerHost {
    pub(super) fn new(state: sys::State, env: JsValue) -> Self {
        let store = SqlStore::new(state.clone());
        Self { state, around: WorkerEnv { env }, store }
    }
}

impl Surroundings for WorkerHost {
    fn now_ms(&self) -> u64 {
        self.around.now_ms()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.around.fill_random(bytes);
    }

    fn log(&self, level: Level, line: &str) {
        self.around.log(level, line);
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        self.around.sleep(duration)
    }

    fn var(&self, name: &str) -> Option<String> {
        if demand::VAR.is_noted() { self.around.var(name) } else { None }
    }

    fn verify(&self, key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
        if demand::VERIFY.is_noted() { self.around.verify(key, data, signature) } else { undemanded() }
    }
}

impl Host for WorkerHost {
    fn name(&self) -> Option<String> {
        sys::name_of(&self.state).ok().flatten()
    }

    fn store(&self) -> &dyn Store {
        &self.store
    }

    fn set_alarm(&self, at_ms: Option<u64>) -> Result<(), HostError> {
        let storage = self.state.storage().map_err(host_error)?;
        // The promise tells nothing that the platform does not guarantee: if it is rejected, the object is reset.
        let set = match at_ms {
            #[allow(clippy::cast_precision_loss, reason = "milliseconds since 1970")]
            Some(at_ms) => storage.set_alarm(at_ms as f64),
            None => storage.delete_alarm(),
        };
        set.map(drop).map_err(host_error)
    }

    fn alarm(&self) -> LocalBoxFuture<'static, Result<Option<u64>, HostError>> {
        let asked = self.state.storage().and_then(|storage| storage.get_alarm());
        Box::pin(async move {
            let at_ms = JsFuture::from(asked.map_err(host_error)?).await.map_err(host_error)?;
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
            Ok(at_ms.as_f64().map(|at_ms| at_ms as u64))
        })
    }

    fn delete_all(&self) -> LocalBoxFuture<'static, Result<(), HostError>> {
        let storage = self.state.storage();
        Box::pin(async move {
            let storage = storage.map_err(host_error)?;
            let deleted = sys::delete_all(&storage).map_err(host_error)?;
            JsFuture::from(deleted).await.map(drop).map_err(host_error)
        })
    }

    fn abort(&self, reason: &str) {
        if let Err(exception) = sys::abort(&self.state, reason) {
            self.around.log(Level::Error, &format!("the object could not be reset: {}", message_of(&exception)));
        }
    }

    fn sockets(&self, tag: Option<&str>) -> Result<Vec<Rc<dyn Socket>>, HostError> {
        let sockets = match tag {
            Some(tag) => self.state.sockets_tagged(tag),
            None => self.state.sockets(),
        };
        let sockets = sockets.map_err(host_error)?;
        Ok(sockets.into_iter().map(|socket| Rc::new(JsSocket::new(socket)) as Rc<dyn Socket>).collect())
    }

    fn set_auto_response(&self, pair: Option<(&str, &str)>) -> Result<(), HostError> {
        if !demand::SET_AUTO_RESPONSE.is_noted() {
            return Ok(());
        }
        let set = match pair {
            Some((request, response)) => {
                sys::WebSocketRequestResponsePair::new(request, response).and_then(|pair| self.state.set_auto_response(&pair))
            }
            None => self.state.unset_auto_response(),
        };
        set.map_err(host_error)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    fn auto_response_ms(&self, socket: &dyn Socket) -> Option<u64> {
        if !demand::AUTO_RESPONSE_MS.is_noted() {
            return None;
        }
        let socket: &JsSocket = (socket as &dyn Any).downcast_ref()?;
        let date = self.state.auto_response_date(&socket.socket).ok().flatten()?;
        Some(date.get_time() as u64)
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        // The work runs either way; all that can be missing is the promise that the object stays for it.
        drop(self.state.wait_until(&promise_of_end(work)));
    }

    fn fetch_agent(&self, target: &Target, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        if demand::FETCH_AGENT.is_noted() { fetch(&self.around.env, target, request) } else { undemanded() }
    }

    fn fetch_url(&self, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        if demand::FETCH_URL.is_noted() { Box::pin(exchange::fetch(request)) } else { undemanded() }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// What nothing in this worker asks for, so that it is not there.
fn undemanded<T: 'static>() -> LocalBoxFuture<'static, Result<T, HostError>> {
    Box::pin(ready(Err(HostError::new("nobody has noted the demand"))))
}

/// Sends a request to an object.
pub(crate) fn fetch(env: &JsValue, target: &Target, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
    let sent =
        namespace_stub(env, target).and_then(|stub| stub.fetch(&body::request_to_js(request)?.into()).map_err(host_error));
    Box::pin(async move {
        let response = JsFuture::from(sent?).await.map_err(host_error)?;
        Ok(body::response_from_js(response.unchecked_into()))
    })
}
