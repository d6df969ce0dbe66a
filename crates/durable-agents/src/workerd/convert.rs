//! Values that cross the border.

use std::cell::OnceCell;
use std::iter;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use durable_agents_core::begin;
use durable_agents_core::host::{HostError, HostFault, Target};
use durable_agents_core::route::Binding;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use js_sys::futures::spawn_local;
use js_sys::{ArrayBuffer, Promise, Uint8Array};
use wasm_bindgen::JsValue;

use super::{glue, sys};

/// An exception, with the platform's hints about another attempt.
pub(crate) fn host_error(exception: JsValue) -> HostError {
    let hints = sys::hints_of(&exception).unwrap_or_default();
    let has = |bit: u32| hints & 1 << bit != 0;
    HostFault { retryable: has(0), overloaded: has(1), reset: has(2), ..HostFault::new(message_of(&exception)) }.into()
}

/// What an exception says, whatever was thrown.
pub(super) fn message_of(exception: &JsValue) -> String {
    sys::words_of(exception).unwrap_or_else(|_| "something was thrown that says nothing".to_owned())
}

/// A promise of what `work` comes to. For work that has begun and waits.
///
/// It is broken if the wasm traps before, which one of `js_sys` would not be.
pub(super) fn promise(work: LocalBoxFuture<'static, Result<JsValue, JsValue>>) -> Promise {
    // What a panic could leave half done is behind the core's wall around hooks.
    let work = AssertUnwindSafe(work).catch_unwind();
    let promised = Promised(glue::promise());
    let promise = Clone::clone(&promised.0);
    spawn_local(async move {
        match work.await {
            Ok(Ok(value)) => glue::keep(&promised.0, &value),
            Ok(Err(exception)) => glue::break_off(&promised.0, &exception),
            Err(_) => glue::break_off(&promised.0, &JsValue::from_str("a panic")),
        }
    });
    promise
}

/// What JavaScript keeps in mind until this is dropped, so that it can go on if the wasm traps.
pub(super) struct Promised(Promise);

impl Promised {
    /// See `watch` in `glue.js`.
    pub(super) fn to_watch(socket: &sys::WebSocket) -> Self {
        Self(glue::watch(socket))
    }
}

impl Drop for Promised {
    fn drop(&mut self) {
        glue::forget(&self.0);
    }
}

/// What a handler returns for `work`: a response if it does not wait, otherwise a promise of one.
pub(crate) fn answer(work: LocalBoxFuture<'static, Result<JsValue, JsValue>>) -> JsValue {
    match begin(work) {
        Ok(Ok(response)) => response,
        // Not even the plain answer could be made: the promise tells the platform.
        Ok(Err(exception)) => Promise::reject(&exception).into(),
        Err(rest) => promise(rest).into(),
    }
}

/// A promise of the end of work without a result.
pub(super) fn promise_of_end(work: LocalBoxFuture<'static, ()>) -> Promise {
    promise(Box::pin(async {
        work.await;
        Ok(JsValue::UNDEFINED)
    }))
}

pub(super) fn bytes_of(buffer: &ArrayBuffer) -> Vec<u8> {
    Uint8Array::new(buffer).to_vec()
}

/// The Durable Object bindings, in the environment's order. An isolate has one environment, so they are looked for once.
pub(crate) fn bindings(env: &JsValue) -> Rc<Vec<Binding>> {
    thread_local! {
        static BINDINGS: OnceCell<Rc<Vec<Binding>>> = const { OnceCell::new() };
    }
    BINDINGS.with(|bindings| {
        let found = bindings.get_or_init(|| {
            let names = glue::namespaces(env).unwrap_or_default();
            let mut bindings = Vec::new();
            for name in lines(&names) {
                bindings.push(Binding::new(name));
            }
            Rc::new(bindings)
        });
        Rc::clone(found)
    })
}

/// Lines that are each ended by a line feed. What every start runs through is compiled before the first answer, and the standard
/// library's `split` takes more than this.
pub(super) fn lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    iter::from_fn(move || {
        let end = rest.bytes().position(|byte| byte == b'\n')?;
        let line = rest.get(..end);
        rest = rest.get(end + 1..)?;
        line
    })
}

/// The way to one instance.
pub(crate) fn namespace_stub(env: &JsValue, target: &Target) -> Result<sys::Stub, HostError> {
    let Target { binding, name, placement } = target;
    let found = sys::stub(env, binding, name, placement.jurisdiction.as_deref(), placement.location_hint.as_deref());
    found.map_err(host_error)?.ok_or_else(|| {
        let message = format!("the worker has no Durable Object binding {binding:?}");
        HostFault { unbound: true, ..HostFault::new(message) }.into()
    })
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count, and the cast saturates")]
pub(super) fn to_count(count: f64) -> u64 {
    count as u64
}
