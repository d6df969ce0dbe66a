//! Beginning work at once, and finishing it later if it has to wait.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use futures::FutureExt;
use futures::future::LocalBoxFuture;
use futures::task::AtomicWaker;

/// Polls `work` once, here and now: its result, or the rest of it for the platform to finish.
///
/// Most events never wait, and one that does not needs no task.
///
/// # Errors
/// No error: the rest of the work.
pub fn begin<W: Future + Unpin + 'static>(mut work: W) -> Result<W::Output, LocalBoxFuture<'static, W::Output>> {
    let mut result = None;
    let relay = poll_once(&mut |cx| match work.poll_unpin(cx) {
        Poll::Ready(output) => {
            result = Some(output);
            true
        }
        Poll::Pending => false,
    });
    match (result, relay) {
        (Some(result), _) => Ok(result),
        (None, relay) => Err(rest(relay.unwrap_or_default(), work)),
    }
}

/// Polls by `poll`, which tells whether that was all; otherwise, what hands on whatever wakes it. The same for all kinds of work.
fn poll_once(poll: &mut dyn FnMut(&mut Context<'_>) -> bool) -> Option<Arc<Relay>> {
    // Nobody polls the work again before there is a task for it, so a wake-up until then is kept for that task. Futures that
    // remember the first waker they saw, which is against the rules and found in the wild (`worker::Delay`), go on working.
    let (relay, waker) = UNUSED.take().unwrap_or_else(|| {
        let relay = Arc::new(Relay::default());
        (Arc::clone(&relay), Waker::from(relay))
    });
    if !poll(&mut Context::from_waker(&waker)) {
        return Some(relay);
    }
    // Nobody has kept the waker, so it is as good as new.
    if Arc::strong_count(&relay) == 2 {
        UNUSED.set(Some((relay, waker)));
    }
    None
}

// Not a part of what an event runs through that does not wait.
#[inline(never)]
fn rest<W: Future + Unpin + 'static>(relay: Arc<Relay>, mut work: W) -> LocalBoxFuture<'static, W::Output> {
    poll_fn(move |cx| {
        relay.0.register(cx.waker());
        work.poll_unpin(cx)
    })
    .boxed_local()
}

thread_local! {
    /// A relay for the next event: most never wait, and leave it to the one after.
    static UNUSED: Cell<Option<(Arc<Relay>, Waker)>> = const { Cell::new(None) };
}

/// Hands a wake-up on to whoever polls now.
#[derive(Default)]
struct Relay(AtomicWaker);

impl Wake for Relay {
    fn wake(self: Arc<Self>) {
        self.0.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::pending;
    use std::rc::Rc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn what_does_not_wait_is_done_at_once() {
        assert!(matches!(begin(async { 7 }.boxed_local()), Ok(7)));
    }

    #[test]
    fn a_future_that_keeps_its_first_waker_wakes_the_task_that_polls_now() {
        let first: Rc<RefCell<Option<Waker>>> = Rc::default();
        let kept = Rc::clone(&first);
        let stubborn = poll_fn(move |cx| {
            kept.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            Poll::<()>::Pending
        });
        let Err(mut rest) = begin(stubborn.boxed_local()) else { panic!("it waits") };
        let task = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&task));
        assert!(rest.poll_unpin(&mut Context::from_waker(&waker)).is_pending());
        first.borrow_mut().take().expect("polled").wake();
        assert!(task.0.load(Ordering::Relaxed));
    }

    #[test]
    fn a_wake_up_for_nobody_is_no_fault() {
        assert!(begin(pending::<()>().boxed_local()).is_err());
    }
}
