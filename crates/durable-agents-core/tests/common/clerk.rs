//! An agent that does what a test tells it, and notes what its callbacks do.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

use durable_agents_core::http::{Request, Response};
use durable_agents_core::task::{Handler, Task};
use durable_agents_core::testing::{MemoryHost, Object};
use durable_agents_core::{Agent, Context, Error, Result, error};
use futures::future::LocalBoxFuture;

use super::{note, notes};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

type Work<A> = Box<dyn FnOnce(Context<A>) -> LocalBoxFuture<'static, Result<()>>>;
type Step = fn() -> Result<()>;

thread_local! {
    static WORK: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    static AT_START: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
    static SCRIPT: RefCell<VecDeque<Step>> = const { RefCell::new(VecDeque::new()) };
    static FORGOTTEN: Cell<usize> = const { Cell::new(0) };
}

/// A new world with one clerk in it, who has noted nothing.
pub(crate) fn office<A: Agent>() -> (MemoryHost, Object) {
    notes();
    let host = MemoryHost::new();
    let object = host.agent::<A>("a");
    (host, object)
}

pub(crate) fn text(text: &str) -> String {
    text.to_owned()
}

/// What the next runs of [`script`] come to; once they are used up, it succeeds.
pub(crate) fn script(steps: &[Step]) {
    SCRIPT.with_borrow_mut(|script| script.extend(steps));
}

/// Has the agents of this thread lose the first so many of their callbacks, or all, as by a deploy.
pub(crate) fn forget_callbacks(count: usize) {
    FORGOTTEN.set(count);
}

/// What the agent does at its next request or, with [`at_start`], at every start.
fn boxed<A: Agent, F: Future<Output = Result<()>> + 'static>(work: impl FnOnce(Context<A>) -> F + 'static) -> Work<A> {
    Box::new(|cx| Box::pin(work(cx)))
}

/// Runs `work` inside the agent, and returns what it returns.
pub(crate) fn try_ask<A: Agent, T: 'static, F: Future<Output = Result<T>> + 'static>(
    object: &Object,
    work: impl FnOnce(Context<A>) -> F + 'static,
) -> Option<Result<T>> {
    let result = Rc::new(RefCell::new(None));
    let slot = Rc::clone(&result);
    WORK.set(Some(Box::new(boxed(move |cx| async move {
        let outcome = work(cx).await;
        slot.replace(Some(outcome));
        Ok(())
    }))));
    let _ = object.begin(Request::get("/")).try_wait();
    result.take()
}

/// The same of work that succeeds.
pub(crate) fn ask<A: Agent, T: 'static, F: Future<Output = Result<T>> + 'static>(
    object: &Object,
    work: impl FnOnce(Context<A>) -> F + 'static,
) -> T {
    try_ask(object, work).expect("it ended").expect("it succeeded")
}

/// The text of the error that `work` fails with.
pub(crate) fn refused<A: Agent, T: 'static, F: Future<Output = Result<T>> + 'static>(
    object: &Object,
    work: impl FnOnce(Context<A>) -> F + 'static,
) -> String {
    match try_ask(object, work) {
        Some(Err(error)) => error.to_string(),
        Some(Ok(_)) => panic!("it succeeded"),
        None => panic!("it did not end"),
    }
}

/// Has every start of the agents on this thread do that.
pub(crate) fn at_start<A: Agent, F: Future<Output = Result<()>> + 'static>(work: impl Fn(Context<A>) -> F + 'static) {
    let work: Rc<dyn Fn(Context<A>) -> LocalBoxFuture<'static, Result<()>>> = Rc::new(move |cx| Box::pin(work(cx)));
    AT_START.set(Some(Box::new(work)));
}

pub(crate) async fn start<A: Agent>(cx: &Context<A>) -> Result<()> {
    let work = AT_START.with_borrow(|work| {
        let work = work.as_ref()?;
        work.downcast_ref::<Rc<dyn Fn(Context<A>) -> LocalBoxFuture<'static, Result<()>>>>().cloned()
    });
    match work {
        Some(work) => work(cx.clone()).await,
        None => Ok(()),
    }
}

pub(crate) async fn serve<A: Agent>(cx: &Context<A>) -> Result<Response> {
    if let Some(work) = WORK.take() {
        work.downcast::<Work<A>>().expect("work for this agent")(cx.clone()).await?;
    }
    Ok(Response::text("done"))
}

pub(crate) fn callbacks<A: Agent>(all: &'static [Handler<A>]) -> &'static [Handler<A>] {
    all.get(FORGOTTEN.get()..).unwrap_or_default()
}

/// Notes its payload.
pub(crate) fn run_note<A: Agent>(task: Task<A>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        note(task.payload::<String>()?);
        Ok(())
    })
}

/// Notes the number of the attempt, and ends as the script says.
pub(crate) fn run_script<A: Agent>(task: Task<A>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        note(format!("attempt {}", task.run.attempt));
        SCRIPT.with_borrow_mut(VecDeque::pop_front).map_or(Ok(()), |step| step())
    })
}

/// Fails with its payload.
pub(crate) fn run_fail<A: Agent>(task: Task<A>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move { Err(error!("{}", task.payload::<String>()?)) })
}

/// Takes as many milliseconds as its payload says.
pub(crate) fn run_slow<A: Agent>(task: Task<A>) -> LocalBoxFuture<'static, Result<()>> {
    Box::pin(async move {
        let wait_ms: u64 = task.payload()?;
        note(format!("begins {wait_ms}"));
        task.cx.sleep(Duration::from_millis(wait_ms)).await;
        note(format!("ends {wait_ms}"));
        Ok(())
    })
}

/// Whether anything of that text was logged; forgets the log.
pub(crate) fn logged(host: &MemoryHost, text: &str) -> usize {
    host.take_log().iter().filter(|line| line.contains(text)).count()
}

/// How many tables and indexes an object has.
pub(crate) fn leftovers(object: &Object) -> u32 {
    object.sql("SELECT count(*) FROM sqlite_master WHERE name NOT LIKE 'sqlite%'", ()).one().expect("SQL")
}

pub(crate) fn told(error: &Error) {
    note(format!("error: {error}"));
}

/// A clerk of that name with these options.
macro_rules! clerk {
    ($name:ident, $options:expr) => {
        #[derive(Default)]
        struct $name;

        impl durable_agents_core::Agent for $name {
            type State = serde_json::Value;
            type ConnectionState = ();
            type Props = ();
            const CLASS: &'static str = stringify!($name);
            const OPTIONS: durable_agents_core::AgentOptions = $options;

            fn new(_: &durable_agents_core::Context<Self>) -> Self {
                Self
            }

            fn initial_state(&self) -> Option<serde_json::Value> {
                Some(serde_json::json!("fresh"))
            }

            fn callbacks() -> &'static [durable_agents_core::task::Handler<Self>] {
                use durable_agents_core::task::Handler;
                use $crate::common::clerk;
                clerk::callbacks(
                    const {
                        &[
                            Handler { name: "note", run: clerk::run_note },
                            Handler { name: "script", run: clerk::run_script },
                            Handler { name: "fail", run: clerk::run_fail },
                            Handler { name: "slow", run: clerk::run_slow },
                        ]
                    },
                )
            }

            async fn on_start(
                &self,
                cx: &durable_agents_core::Context<Self>,
                _: Option<()>,
            ) -> durable_agents_core::Result<()> {
                $crate::common::clerk::start(cx).await
            }

            async fn on_request(
                &self,
                cx: &durable_agents_core::Context<Self>,
                _: durable_agents_core::http::Request,
            ) -> durable_agents_core::Result<durable_agents_core::http::Response> {
                $crate::common::clerk::serve(cx).await
            }

            async fn on_error(
                &self,
                _: &durable_agents_core::Context<Self>,
                error: &durable_agents_core::Error,
            ) -> durable_agents_core::Result<()> {
                $crate::common::clerk::told(error);
                Ok(())
            }
        }

        #[allow(dead_code, reason = "each test file uses some")]
        impl $name {
            const NOTE: durable_agents_core::Callback<Self, String> = durable_agents_core::Callback::new("note");
            const SCRIPT: durable_agents_core::Callback<Self, ()> = durable_agents_core::Callback::new("script");
            const FAIL: durable_agents_core::Callback<Self, String> = durable_agents_core::Callback::new("fail");
            const SLOW: durable_agents_core::Callback<Self, u64> = durable_agents_core::Callback::new("slow");
        }
    };
}
pub(crate) use clerk;
