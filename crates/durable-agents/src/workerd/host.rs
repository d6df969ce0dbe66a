//! One object's view of workerd.

use std::any::Any;
use std::rc::Rc;
use std::time::Duration;

use durable_agents_core::host::{Host, HostError, Level, Socket, Store, Target};
use durable_agents_core::http::{Request, Response};
use futures::future::LocalBoxFuture;
use js_sys::Reflect;
use js_sys::futures::JsFuture;
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{host_error, namespace_stub, promise_of_end};
use super::socket::JsSocket;
use super::store::SqlStore;
use super::{body, sys, timer};

pub(crate) struct WorkerHost {
    pub(crate) state: sys::State,
    pub(crate) env: JsValue,
    store: SqlStore,
}

impl WorkerHost {
    pub(super) fn new(state: sys::State, env: JsValue) -> Self {
        let store = SqlStore::new(state.clone());
        Self { state, env, store }
    }
}

impl Host for WorkerHost {
    fn name(&self) -> Option<String> {
        self.state.id().ok()?.name().ok().flatten()
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        fill_random(bytes);
    }

    fn log(&self, level: Level, line: &str) {
        write_log(level, line);
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

    fn sockets(&self, tag: Option<&str>) -> Result<Vec<Rc<dyn Socket>>, HostError> {
        let sockets = match tag {
            Some(tag) => self.state.sockets_tagged(tag),
            None => self.state.sockets(),
        };
        let sockets = sockets.map_err(host_error)?;
        Ok(sockets.into_iter().map(|socket| Rc::new(JsSocket(socket)) as Rc<dyn Socket>).collect())
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        // The work runs either way; all that can be missing is the promise that the object stays for it.
        drop(self.state.wait_until(&promise_of_end(work)));
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        timer::sleep(duration)
    }

    fn var(&self, name: &str) -> Option<String> {
        Reflect::get(&self.env, &JsValue::from_str(name)).ok()?.as_string()
    }

    fn fetch_agent(&self, target: &Target, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        let sent = namespace_stub(&self.env, target)
            .and_then(|stub| stub.fetch(&body::request_to_js(request)?.into()).map_err(host_error));
        Box::pin(async move {
            let response = JsFuture::from(sent?).await.map_err(host_error)?;
            Ok(body::response_from_js(response.unchecked_into()))
        })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// Most bytes that one call of `getRandomValues` fills.
const MAX_RANDOM_BYTES: usize = 65_536;

pub(crate) fn fill_random(bytes: &mut [u8]) {
    for part in bytes.chunks_mut(MAX_RANDOM_BYTES) {
        if sys::get_random_values(part).is_err() {
            write_log(Level::Error, "the platform has no randomness");
        }
    }
}

pub(crate) fn write_log(level: Level, line: &str) {
    // Without a console there is nobody to tell.
    drop(match level {
        Level::Debug => sys::console_debug(line),
        Level::Info => sys::console_info(line),
        Level::Warn => sys::console_warn(line),
        Level::Error => sys::console_error(line),
    });
}
