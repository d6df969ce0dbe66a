//! Bodies on their way out, piece by piece.

use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;

use durable_agents_core::http::Pieces;
use futures::StreamExt;
use js_sys::Uint8Array;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use super::convert::promise;
use super::sys;

/// A stream that asks for a piece when somebody reads it. Where that somebody leaves, the pieces are dropped.
pub(super) fn stream_to_js(pieces: Pieces) -> Result<JsValue, JsValue> {
    let pieces = Rc::new(Cell::new(Some(pieces)));
    let left = Rc::clone(&pieces);
    let pull = Closure::own_assert_unwind_safe(move |_: JsValue| JsValue::from(promise(Box::pin(pull(Rc::clone(&pieces))))));
    let cancel = Closure::own_assert_unwind_safe(move |_: JsValue| {
        drop(left.take());
        JsValue::UNDEFINED
    });
    sys::stream(&of_stream(pull), &of_stream(cancel))
}

/// The stream lives as long as JavaScript has it, and so does what it calls.
fn of_stream(closure: Closure<dyn Fn(JsValue) -> JsValue>) -> JsValue {
    closure.into_js_value()
}

async fn pull(pieces: Rc<Cell<Option<Pieces>>>) -> Result<JsValue, JsValue> {
    let piece = poll_fn(|cx| {
        // Out of the cell while it is polled: after its end, an error or a panic it does not come back.
        let Some(mut stream) = pieces.take() else { return Poll::Ready(None) };
        let polled = stream.poll_next_unpin(cx);
        if matches!(polled, Poll::Pending | Poll::Ready(Some(Ok(_)))) {
            pieces.set(Some(stream));
        }
        polled
    });
    match piece.await {
        Some(Ok(piece)) => Ok(Uint8Array::from(&*piece).into()),
        Some(Err(error)) => Err(error.to_string().into()),
        None => Ok(JsValue::UNDEFINED),
    }
}
