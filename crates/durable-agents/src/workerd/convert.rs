//! Values that cross the border.

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use durable_agents_core::begin;
use durable_agents_core::host::{HostError, HostFault, Target};
use durable_agents_core::route::Binding;
use futures::future::LocalBoxFuture;
use js_sys::futures::future_to_promise;
use js_sys::{Array, ArrayBuffer, JSON, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::{glue, sys};

/// An exception, with the platform's hints about another attempt.
pub(crate) fn host_error(exception: JsValue) -> HostError {
    let message = message_of(&exception);
    let exception: sys::Exception = exception.unchecked_into();
    HostFault {
        message,
        retryable: exception.retryable().ok().flatten().unwrap_or(false),
        overloaded: exception.overloaded().ok().flatten().unwrap_or(false),
        reset: exception.durable_object_reset().ok().flatten().unwrap_or(false),
        unbound: false,
    }
    .into()
}

/// What an exception says, whatever was thrown.
pub(super) fn message_of(exception: &JsValue) -> String {
    exception
        .as_string()
        .or_else(|| exception.unchecked_ref::<sys::Exception>().message().ok().flatten())
        .unwrap_or_else(|| "something was thrown that is no error".to_owned())
}

/// A promise of what `work` comes to. For work that has begun and waits.
pub(super) fn promise(work: LocalBoxFuture<'static, Result<JsValue, JsValue>>) -> Promise {
    // What a panic could leave half done is behind the core's wall around hooks.
    future_to_promise(AssertUnwindSafe(work))
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

/// The text of a variable: its own, or the JSON of one that is a JSON value. Other bindings have none.
pub(super) fn text_of(binding: &JsValue) -> Option<String> {
    if binding.is_string() {
        return binding.as_string();
    }
    let is_json = if binding.is_object() {
        // Objects of the platform have prototypes of their own.
        Array::is_array(binding) || Object::get_prototype_of(binding) == Object::get_prototype_of(&Object::new())
    } else {
        binding.as_f64().is_some() || binding.as_bool().is_some()
    };
    is_json.then(|| JSON::stringify(binding).ok()?.as_string()).flatten()
}

pub(super) fn bytes_of(buffer: &ArrayBuffer) -> Vec<u8> {
    Uint8Array::new(buffer).to_vec()
}

/// The Durable Object bindings, in the environment's order. An isolate has one environment, so they are looked for once.
pub(crate) fn bindings(env: &JsValue) -> Rc<[Binding]> {
    thread_local! {
        static BINDINGS: RefCell<Option<Rc<[Binding]>>> = const { RefCell::new(None) };
    }
    BINDINGS.with_borrow_mut(|bindings| {
        let found = bindings.get_or_insert_with(|| {
            let names = glue::namespaces(env).unwrap_or_default();
            names.split('\n').filter(|name| !name.is_empty()).map(Binding::new).collect()
        });
        Rc::clone(found)
    })
}

/// The way to one instance.
pub(crate) fn namespace_stub(env: &JsValue, target: &Target) -> Result<sys::Stub, HostError> {
    let binding = Reflect::get(env, &JsValue::from_str(&target.binding)).unwrap_or(JsValue::UNDEFINED);
    if !binding.is_object() {
        let message = format!("the worker has no Durable Object binding {:?}", target.binding);
        return Err(HostError::from(HostFault { unbound: true, ..HostFault::new(message) }));
    }
    try_namespace_stub(binding.unchecked_into(), target).map_err(host_error)
}

fn try_namespace_stub(mut namespace: sys::Namespace, target: &Target) -> Result<sys::Stub, JsValue> {
    if let Some(jurisdiction) = &target.placement.jurisdiction {
        namespace = namespace.jurisdiction(jurisdiction)?;
    }
    let id = namespace.id_from_name(&target.name)?;
    match &target.placement.location_hint {
        None => namespace.get(&id),
        Some(hint) => {
            let options = Object::new();
            Reflect::set(&options, &"locationHint".into(), &hint.into())?;
            namespace.get_with(&id, &options)
        }
    }
}
