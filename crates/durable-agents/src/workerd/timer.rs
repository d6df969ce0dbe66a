//! Waiting.

use std::time::Duration;

use futures::future::LocalBoxFuture;
use js_sys::Promise;
use js_sys::futures::JsFuture;

use super::sys;

/// Longest time of `setTimeout`, which takes anything longer for none at all.
const MAX_DELAY_MS: u32 = i32::MAX as u32;

/// Ends after `duration`. Dropped before, it leaves no timer behind: a pending timer keeps the object in memory.
pub(crate) fn sleep(duration: Duration) -> LocalBoxFuture<'static, ()> {
    let delay_ms = u32::try_from(duration.as_millis()).unwrap_or(MAX_DELAY_MS).min(MAX_DELAY_MS);
    Box::pin(async move {
        // Without a timer, waiting ends at once.
        let Ok(timer) = sys::sleep(delay_ms).map(Timer) else { return };
        drop(JsFuture::from(Clone::clone(&timer.0)).await);
    })
}

/// What is over when the time is, or when it is dropped.
struct Timer(Promise);

impl Drop for Timer {
    fn drop(&mut self) {
        drop(sys::end(&self.0));
    }
}
