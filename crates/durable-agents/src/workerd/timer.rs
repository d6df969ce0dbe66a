//! Waiting.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use js_sys::futures::JsFuture;
use js_sys::{Function, Promise};
use wasm_bindgen::JsValue;

use super::sys;

/// Longest time of `setTimeout`, which takes anything longer for none at all.
const MAX_DELAY_MS: u32 = i32::MAX as u32;

/// Ends after `duration`. Dropped before, it leaves no timer behind: a pending timer keeps the object in memory.
pub(crate) fn sleep(duration: Duration) -> LocalBoxFuture<'static, ()> {
    let delay_ms = u32::try_from(duration.as_millis()).unwrap_or(MAX_DELAY_MS).min(MAX_DELAY_MS);
    Box::pin(async move {
        // Without a timer, waiting ends at once.
        let Ok((over, _timer)) = start(delay_ms) else { return };
        drop(JsFuture::from(over).await);
    })
}

fn start(delay_ms: u32) -> Result<(Promise, Timer), JsValue> {
    let over = sys::defer()?;
    let resolve = over.resolve()?;
    let id = sys::set_timeout(&resolve, delay_ms)?;
    Ok((over.promise()?, Timer { id, resolve }))
}

/// A running timer. A promise that is never settled would keep whatever waits for it, so the timer settles it when it is dropped.
struct Timer {
    id: JsValue,
    resolve: Function,
}

impl Drop for Timer {
    fn drop(&mut self) {
        // Both do nothing once the time is over.
        drop(sys::clear_timeout(&self.id));
        drop(self.resolve.call0(&JsValue::UNDEFINED));
    }
}
