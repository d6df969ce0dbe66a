//! The wall between the framework and the author's code: a panic comes back as an error.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::future::Future;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::pin::Pin;
use std::sync::Once;
use std::task::{self, Poll};

use futures::future::LocalBoxFuture;

use crate::error::{Error, Result, error};
use crate::link;

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

/// A hook on its way, behind the wall against panics.
///
/// One type for the hooks of all agents, so that the wall is compiled once for each kind of result. Where panics abort (a build
/// without unwinding) it holds nothing back, and the panic costs the isolate.
pub(crate) enum Hook<T> {
    Done(Option<Result<T>>),
    Running(LocalBoxFuture<'static, Result<T>>),
}

impl<T> Hook<T> {
    /// What the agent does not implement, answered as the default would.
    pub(crate) fn default(answer: T) -> Self {
        Self::Done(Some(Ok(answer)))
    }

    /// What could not even begin.
    pub(crate) fn failed(error: Error) -> Self {
        Self::Done(Some(Err(error)))
    }

    /// A hook of which a part, `begin`, is done at once.
    pub(crate) fn begin(begin: impl FnOnce() -> Result<LocalBoxFuture<'static, Result<T>>>) -> Self {
        guard_sync(begin).map_or_else(Self::failed, Self::Running)
    }
}

// The future is boxed, and an answer is never pinned.
impl<T> Unpin for Hook<T> {}

impl<T> Future for Hook<T> {
    type Output = Result<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Result<T>> {
        match self.get_mut() {
            Self::Done(answer) => Poll::Ready(answer.take().unwrap_or_else(|| Err(error!("the hook has ended already")))),
            Self::Running(hook) => {
                // Each poll is inside, the time between polls is not: other hooks run then.
                let _inside = Inside::new();
                let polled = catch_unwind(AssertUnwindSafe(|| hook.as_mut().poll(cx)));
                polled.unwrap_or_else(|panic| Poll::Ready(Err(caught(&*panic))))
            }
        }
    }
}

/// Puts a hook behind the wall.
pub(crate) fn guard<T>(hook: impl Future<Output = Result<T>> + 'static) -> Hook<T> {
    Hook::Running(Box::pin(hook))
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

/// Whether the author's code is running, behind the wall.
pub(crate) fn is_inside() -> bool {
    DEPTH.get() > 0
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
        // Before anybody else has control, who might let the platform take the object out of memory; after a panic too.
        if !is_inside() {
            link::save_all();
        }
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
