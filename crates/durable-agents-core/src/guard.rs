//! The wall between the framework and the author's code: a panic comes back as an error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::Once;

use futures::FutureExt;

use crate::error::{Error, Result};

/// A hook panicked. Found by `error.downcast_ref::<PanicError>()`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("panicked at {place}: {message}")]
pub struct PanicError {
    /// What it said.
    pub message: String,
    /// File, line and column, or `an unknown place` where no hook could see it.
    pub place: String,
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs a hook to its end.
///
/// Where panics abort (a build without unwinding) it cannot return, and the panic costs the isolate.
pub(crate) async fn guard<T>(hook: impl Future<Output = Result<T>>) -> Result<T> {
    // Each poll is inside, the time between polls is not: other hooks run then.
    let mut hook = std::pin::pin!(AssertUnwindSafe(hook).catch_unwind());
    let outcome = std::future::poll_fn(|cx| {
        let _inside = Inside::new();
        hook.as_mut().poll(cx)
    })
    .await;
    outcome.unwrap_or_else(|panic| Err(caught(&*panic)))
}

/// Runs a hook that does not wait.
pub(crate) fn guard_sync<T>(hook: impl FnOnce() -> Result<T>) -> Result<T> {
    let _inside = Inside::new();
    catch_unwind(AssertUnwindSafe(hook)).unwrap_or_else(|panic| Err(caught(&*panic)))
}

/// Notes the place of panics in hooks, and hands all others to `outside`.
///
/// For adapters: once per process, before the first event. Without it, panics are caught all the same but do not know where.
pub fn install_panic_hook(outside: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    ONCE.call_once(|| set_panic_hook(outside));
}

/// The same, handing all other panics to whoever gets them now.
#[cfg(feature = "testing")]
pub(crate) fn install_panic_hook_over_current() {
    ONCE.call_once(|| set_panic_hook(std::panic::take_hook()));
}

static ONCE: Once = Once::new();

fn set_panic_hook(outside: impl Fn(&PanicHookInfo<'_>) + Send + Sync + 'static) {
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map(ToString::to_string);
        // A build that aborts will not come back to report it.
        if cfg!(panic = "unwind") && DEPTH.get() > 0 {
            PLACE.set(place);
        } else {
            outside(info);
        }
    }));
}

fn caught(panic: &(dyn Any + Send)) -> Error {
    let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let message = message.or_else(|| panic.downcast_ref::<String>().cloned());
    PanicError {
        message: message.unwrap_or_else(|| "a value that is no text".to_owned()),
        place: PLACE.take().unwrap_or_else(|| "an unknown place".to_owned()),
    }
    .into()
}

struct Inside;

impl Inside {
    fn new() -> Self {
        DEPTH.set(DEPTH.get() + 1);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_an_error_that_knows_its_place() {
        install_panic_hook(|_| {});
        let outcome: Result<()> = futures::executor::block_on(guard(async { panic!("no {}", "way") }));
        let error = outcome.expect_err("panicked");
        let panic = error.downcast_ref::<PanicError>().expect("a panic");
        assert_eq!(panic.message, "no way");
        assert!(panic.place.contains("guard.rs:"), "{}", panic.place);
        assert!(guard_sync(|| Ok(())).is_ok());
    }
}
