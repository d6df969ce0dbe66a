//! One object: the platform as its agent sees it, and the handle by which a test reaches it.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::rc::{Rc, Weak};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::LocalBoxFuture;
use http::{HeaderName, HeaderValue, Method, header};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::CrashPoint;
use super::client::{Client, Dial};
use super::crypto;
use super::http::{Collected, collect};
use super::random::Random;
use super::socket::ServerEnd;
use super::world::{Slot, World, never, reset};
use crate::demand;
use crate::host::{Host, HostError, Level, Rows, Socket, SqlValue, Store, Surroundings, Target};
use crate::http::{Body, Request, Response};
use crate::liveness::MAX_AUTO_RESPONSE_CHARS;
use crate::message::Message;
use crate::route::kebab;
use crate::signature::VerifyingKey;
use crate::sql::{Params, Query};

/// Longest name that the platform hands out.
const MAX_NAME_BYTES: usize = 1_024;

/// What everything fails with once a wake is over.
pub(super) const RESET: &str = "the object has been reset";

/// Characters of a name that a URL would not carry as they are.
const NOT_IN_A_SEGMENT: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'?').add(b'`').add(b'{').add(b'}').add(b'/').add(b'\\');

/// The platform, for one wake of one object. Once that wake is over, nothing it is asked for happens.
pub(super) struct ObjectHost {
    world: Weak<World>,
    wake: u64,
    name: Option<String>,
    storage: Storage,
    now_ms: Rc<Cell<u64>>,
    random: Rc<Random>,
}

impl ObjectHost {
    pub(super) fn new(world: &Rc<World>, slot: &Rc<Slot>, wake: u64) -> Self {
        let name = slot.target.name.clone();
        Self {
            world: Rc::downgrade(world),
            wake,
            name: Some(name).filter(|name| name.len() <= MAX_NAME_BYTES),
            storage: Storage { slot: Rc::downgrade(slot), wake },
            now_ms: Rc::clone(&world.now_ms),
            random: Rc::clone(&world.random),
        }
    }

    fn here(&self) -> Option<(Rc<World>, Rc<Slot>)> {
        Some((self.world.upgrade()?, self.storage.slot()?))
    }
}

impl Surroundings for ObjectHost {
    fn now_ms(&self) -> u64 {
        self.now_ms.get()
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.random.fill(bytes);
    }

    fn log(&self, level: Level, line: &str) {
        if let Some((world, _)) = self.here() {
            world.write_log(level, line);
        }
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        match self.here() {
            Some((world, _)) => Box::pin(world.sleep(duration, false)),
            None => never(),
        }
    }

    fn var(&self, name: &str) -> Option<String> {
        demand::VAR.expect_noted();
        self.world.upgrade()?.vars.borrow().get(name).cloned()
    }

    fn verify(&self, key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
        demand::VERIFY.expect_noted();
        let genuine = crypto::verify(key, data, signature);
        match self.here() {
            // The platform's answer is a promise: others get their turn before it.
            Some((world, _)) => Box::pin(world.sleep(Duration::ZERO, true).map(move |()| Ok(genuine))),
            None => never(),
        }
    }
}

impl Host for ObjectHost {
    fn name(&self) -> Option<String> {
        self.name.clone()
    }

    fn store(&self) -> &dyn Store {
        &self.storage
    }

    fn set_alarm(&self, at_ms: Option<u64>) -> Result<(), HostError> {
        self.storage.call("set alarm", |slot| {
            if slot.in_turn.get() {
                slot.next_alarm.set(Some(at_ms));
            } else {
                slot.alarm.set(at_ms);
            }
            Ok(())
        })
    }

    fn alarm(&self) -> LocalBoxFuture<'static, Result<Option<u64>, HostError>> {
        let alarm = self.storage.call("get alarm", |slot| {
            let changed = slot.next_alarm.take();
            slot.next_alarm.set(changed);
            Ok(changed.unwrap_or(slot.alarm.get()))
        });
        Box::pin(std::future::ready(alarm))
    }

    fn delete_all(&self) -> LocalBoxFuture<'static, Result<(), HostError>> {
        let deleted = self.storage.call("delete all", |slot| {
            slot.next_alarm.set(Some(None));
            slot.disk.delete_all(slot.in_turn.get())
        });
        let on_disk = self.sleep(Duration::ZERO);
        Box::pin(async move {
            deleted?;
            on_disk.await;
            Ok(())
        })
    }

    fn abort(&self, reason: &str) {
        if let Some((world, slot)) = self.here() {
            world.write_log(Level::Debug, &format!("{} {:?} is aborted: {reason}", slot.target.binding, slot.target.name));
            slot.aborted.set(true);
        }
    }

    fn sockets(&self, tag: Option<&str>) -> Result<Vec<Rc<dyn Socket>>, HostError> {
        let slot = self.storage.slot().ok_or_else(reset)?;
        let pipes = slot.pipes.borrow();
        let chosen = pipes.iter().filter(|pipe| pipe.hibernates() && tag.is_none_or(|tag| pipe.has_tag(tag)));
        let end = |pipe| Rc::new(ServerEnd { pipe: Rc::clone(pipe), slot: Rc::downgrade(&slot), wake: self.wake }) as _;
        Ok(chosen.map(end).collect())
    }

    fn set_auto_response(&self, pair: Option<(&str, &str)>) -> Result<(), HostError> {
        demand::SET_AUTO_RESPONSE.expect_noted();
        let slot = self.storage.slot().ok_or_else(reset)?;
        if let Some(long) = pair.into_iter().flat_map(|(request, response)| [request, response]).find(|text| too_long(text)) {
            let chars = long.encode_utf16().count();
            return Err(HostError::new(format!("{MAX_AUTO_RESPONSE_CHARS} characters at most, {chars} given")));
        }
        slot.auto_response.replace(pair.map(|(request, response)| (request.to_owned(), response.to_owned())));
        Ok(())
    }

    fn auto_response_ms(&self, socket: &dyn Socket) -> Option<u64> {
        demand::AUTO_RESPONSE_MS.expect_noted();
        (socket as &dyn Any).downcast_ref::<ServerEnd>()?.pipe.answered_ms.get()
    }

    fn spawn(&self, work: LocalBoxFuture<'static, ()>) {
        if let Some((world, slot)) = self.here() {
            world.spawn(&slot, "work beside an event".to_owned(), work);
        }
    }

    fn fetch_agent(&self, target: &Target, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        demand::FETCH_AGENT.expect_noted();
        let Some((_, slot)) = self.here() else { return never() };
        let (answer, answered) = oneshot::channel();
        let target = target.clone();
        slot.emit(move |world| {
            // If the caller has stopped waiting, so be it.
            let _ = answer.send(world.send_request(&target, request, None));
        });
        Box::pin(async move {
            let answer = answered.await.unwrap_or_else(|_| Err(reset()))?;
            answer.await.unwrap_or_else(|_| Err(reset()))
        })
    }

    fn fetch_url(&self, request: Request) -> LocalBoxFuture<'static, Result<Response, HostError>> {
        demand::FETCH_URL.expect_noted();
        let Some((_, slot)) = self.here() else { return never() };
        let (answer, answered) = oneshot::channel();
        slot.emit(move |world| {
            // If the caller has stopped waiting, nothing leaves.
            if !answer.is_canceled() {
                let _ = answer.send(world.outside.answer(request));
            }
        });
        Box::pin(async move { answered.await.unwrap_or_else(|_| Err(reset()))?.await })
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn too_long(text: &str) -> bool {
    text.encode_utf16().count() > MAX_AUTO_RESPONSE_CHARS
}

/// The database, for one wake of one object.
struct Storage {
    slot: Weak<Slot>,
    wake: u64,
}

impl Storage {
    fn slot(&self) -> Option<Rc<Slot>> {
        self.slot.upgrade().filter(|slot| slot.is_awake(self.wake))
    }

    /// A storage call, which may be the one that the object does not survive.
    fn call<T>(&self, what: &str, call: impl FnOnce(&Slot) -> Result<T, HostError>) -> Result<T, HostError> {
        let slot = self.slot().ok_or_else(reset)?;
        if slot.refused.borrow().as_ref().is_some_and(|refused| what.contains(refused)) {
            return Err(HostError::new(format!("storage refuses: {what}")));
        }
        let point = slot.count_storage_call();
        if matches!(point, Some(CrashPoint::StorageCall(_))) {
            slot.dying.set(true);
            return Err(reset());
        }
        let outcome = call(&slot);
        if point.is_some() {
            slot.dying.set(true);
        }
        outcome
    }
}

impl Store for Storage {
    fn run(&self, sql: &str, params: &[SqlValue]) -> Result<Rows, HostError> {
        self.call(sql, |slot| slot.disk.run(sql, params, slot.in_turn.get()))
    }

    fn size_bytes(&self) -> u64 {
        self.slot().map_or(0, |slot| slot.disk.size_bytes())
    }
}

/// One agent, as a test reaches it: by name, from outside, and behind its back.
#[derive(Clone)]
pub struct Object {
    pub(super) world: Rc<World>,
    pub(super) slot: Rc<Slot>,
}

impl Object {
    /// Name of the instance.
    pub fn name(&self) -> &str {
        &self.slot.target.name
    }

    /// Its URL behind the router with `rest` behind it: empty, a sub-path or a query. A complete URL is taken as it is.
    pub fn url(&self, rest: &str) -> String {
        if rest.contains("://") && !rest.starts_with(['/', '?']) {
            return rest.to_owned();
        }
        let class = kebab(&self.slot.target.binding);
        let name = utf8_percent_encode(self.name(), NOT_IN_A_SEGMENT);
        let slash = if rest.is_empty() || rest.starts_with(['/', '?']) { "" } else { "/" };
        format!("https://example.com/agents/{class}/{name}{slash}{rest}")
    }

    /// Opens a WebSocket to [`url(rest)`](Self::url), past the router.
    ///
    /// Runs the world until the handshake is over, or until it waits for something that needs the clock. A refused client comes
    /// back as well: its [`close_event`](Client::close_event) and [`refusal`](Client::refusal) say so.
    pub fn connect(&self, rest: &str) -> Client {
        self.dial(rest).connect()
    }

    /// The same, but a refusal by an HTTP answer is an error.
    ///
    /// # Errors
    /// The answer that came instead of `101`.
    pub fn try_connect(&self, rest: &str) -> Result<Client, Collected> {
        self.dial(rest).try_connect()
    }

    /// The same, with messages that reach the agent as soon as it has accepted the socket, while its connect hook still runs.
    ///
    /// The platform holds such messages back for a socket that hibernates; one that does not can get them.
    pub fn connect_early<'a>(&self, rest: &str, messages: impl IntoIterator<Item = &'a str>) -> Client {
        self.dial(rest).early(messages.into_iter().map(|text| Message::Text(text.to_owned()))).connect()
    }

    /// A handshake to be changed before it begins.
    pub fn dial(&self, rest: &str) -> Dial {
        let request = Request::get(&self.url(rest)).with_header(header::UPGRADE, HeaderValue::from_static("websocket"));
        self.dial_with(request)
    }

    /// A handshake by a request of the test's own. Without an `Upgrade` header it is an ordinary request.
    pub fn dial_with(&self, request: Request) -> Dial {
        Dial::new(self.clone(), request)
    }

    /// Sends a request past the router, and collects the answer. Panics if the object crashes over it.
    pub fn request(&self, request: Request) -> Collected {
        self.begin(request).wait()
    }

    /// A `GET` of [`url(rest)`](Self::url).
    pub fn get(&self, rest: &str) -> Collected {
        self.request(Request::get(&self.url(rest)))
    }

    /// A `POST` to [`url(rest)`](Self::url).
    pub fn post(&self, rest: &str, content_type: &str, body: impl Into<Body>) -> Collected {
        let content_type = HeaderValue::from_str(content_type).expect("a content type is a header value");
        let request = Request::new(Method::POST, &self.url(rest), body).with_header(header::CONTENT_TYPE, content_type);
        self.request(request)
    }

    /// Sends a request and comes back at once: nothing happens before the world runs.
    pub fn begin(&self, request: Request) -> Pending {
        let answer = self.world.send_request(&self.slot.target, request, None);
        Pending { world: Rc::clone(&self.world), answer }
    }

    /// Sends a request, and hands over the answer before its body.
    pub fn stream(&self, request: Request) -> Streaming {
        let pending = self.begin(request);
        let response = pending.response().unwrap_or_else(|error| panic!("no answer: {error}"));
        Streaming { world: Rc::clone(&self.world), response }
    }

    /// A statement on the object's own database, behind the agent's back. Lets the world come to rest first.
    ///
    /// Limits are the platform's. It does not count as one of the object's [`storage_calls`](Self::storage_calls).
    pub fn sql<'a>(&'a self, sql: &'a str, params: impl Params) -> Query<'a> {
        self.world.run_until_idle();
        Query::new(&*self.slot.disk, sql, params)
    }

    /// Whether the object is in memory.
    pub fn is_running(&self) -> bool {
        self.slot.is_running()
    }

    /// How often it came into memory.
    pub fn wakes(&self) -> u64 {
        self.slot.wakes.get()
    }

    /// How many sockets it has, in any state.
    pub fn sockets(&self) -> usize {
        self.slot.pipes.borrow().len()
    }

    /// When its alarm goes off, in Unix milliseconds.
    pub fn alarm_ms(&self) -> Option<u64> {
        self.slot.alarm.get()
    }

    /// How often its code has called storage, over all its wakes.
    pub fn storage_calls(&self) -> u64 {
        self.slot.storage_calls.get()
    }

    /// How often attachments of its sockets were written, over all its wakes.
    pub fn attachment_writes(&self) -> u64 {
        self.slot.attachment_writes.get()
    }

    /// Lets the world come to rest, then drops the object's memory, as the platform does with an idle one.
    ///
    /// Sockets that hibernate stay, with their attachments; others are lost, and their clients see 1006. Panics if the object is
    /// busy, because the platform would not evict it: see [`try_evict`](Self::try_evict).
    pub fn evict(&self) {
        assert!(self.try_evict(), "the object is busy and stays in memory\n{}", self.world.report());
    }

    /// The same, but `false` if the object is busy.
    pub fn try_evict(&self) -> bool {
        self.world.run_until_idle();
        self.world.evict(&self.slot)
    }

    /// Crashes the object, here and now: memory and sockets are lost, clients see 1006, requests fail; storage stays as of the
    /// last await point.
    pub fn crash(&self) {
        self.world.crash(&self.slot);
    }

    /// Crashes the object at that point, counted from now, once.
    pub fn crash_at(&self, point: CrashPoint) {
        self.slot.set_crash_point(Some(point));
    }

    /// Sets its alarm behind the agent's back, in Unix milliseconds, or takes it away.
    pub fn set_alarm_ms(&self, at_ms: Option<u64>) {
        self.world.run_until_idle();
        self.slot.alarm.set(at_ms);
    }

    /// How often it has crashed.
    pub fn crashes(&self) -> u64 {
        self.slot.crashes.get()
    }

    /// Has its storage refuse every statement that contains `what`, until told otherwise; those on the alarm and on everything are
    /// `set alarm`, `get alarm` and `delete all`.
    pub fn refuse_storage(&self, what: Option<&str>) {
        self.slot.refused.replace(what.map(str::to_owned));
    }

    /// Makes the next request to this object fail with `error` before it gets there.
    pub fn fail_next_request(&self, error: HostError) {
        self.slot.failures.borrow_mut().push_back(error);
    }
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Object({} {:?})", self.slot.target.binding, self.name())
    }
}

/// A request that is under way.
pub struct Pending {
    world: Rc<World>,
    answer: Result<oneshot::Receiver<Result<Response, HostError>>, HostError>,
}

impl Pending {
    /// Runs the world until the answer is there. Panics if it never comes, or if the object crashes.
    pub fn wait(self) -> Collected {
        self.try_wait().unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// The same, with a failure of the platform as an error.
    ///
    /// # Errors
    /// The object crashed, or the platform could not reach it.
    pub fn try_wait(self) -> Result<Collected, HostError> {
        let world = Rc::clone(&self.world);
        collect(&world, self.response()?).map_err(|error| HostError::new(error.to_string()))
    }

    fn response(self) -> Result<Response, HostError> {
        let mut answer = self.answer?;
        self.world.run_until("the answer", || match answer.try_recv() {
            Ok(outcome) => outcome,
            Err(oneshot::Canceled) => Some(Err(reset())),
        })
    }
}

impl fmt::Debug for Pending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pending")
    }
}

/// An answer whose body is read piece by piece. Dropped, it is a client that has gone away.
pub struct Streaming {
    world: Rc<World>,
    response: Response,
}

impl Streaming {
    /// The answer, without its body.
    pub fn response(&self) -> &Response {
        &self.response
    }

    /// Runs the world until the next piece of the body is there; `None` at its end. Panics if the body is cut.
    pub fn next_piece(&mut self) -> Option<bytes::Bytes> {
        let mut pieces = std::mem::take(&mut self.response.body).into_stream();
        let next = self.world.drive("the next piece of the body", futures::StreamExt::next(&mut pieces));
        self.response.body = Body::arriving(pieces);
        next.map(|piece| piece.unwrap_or_else(|error| panic!("the body broke off: {error}")))
    }

    /// The next piece if it is there once the world has come to rest.
    pub fn try_next_piece(&mut self) -> Option<bytes::Bytes> {
        self.world.run_until_idle();
        let mut pieces = std::mem::take(&mut self.response.body).into_stream();
        let mut next = futures::StreamExt::next(&mut pieces).now_or_never().flatten();
        if next.is_none() {
            // Asking was what the producer waited for.
            self.world.run_until_idle();
            next = futures::StreamExt::next(&mut pieces).now_or_never().flatten();
        }
        self.response.body = Body::arriving(pieces);
        next.map(|piece| piece.unwrap_or_else(|error| panic!("the body broke off: {error}")))
    }
}

impl fmt::Debug for Streaming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.response.fmt(f)
    }
}

/// Sets one header from texts.
pub(super) fn set_header(request: &mut Request, name: &str, value: &str) {
    let name = HeaderName::try_from(name).unwrap_or_else(|error| panic!("header name {name:?}: {error}"));
    let value = HeaderValue::from_str(value).unwrap_or_else(|error| panic!("header value {value:?}: {error}"));
    request.set_header(name, value);
}
