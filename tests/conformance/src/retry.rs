//! Trying again.

use std::time::Duration;

use durable_agents::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::list::List;

mod defaults;

pub use defaults::TestRetryDefaultsAgent;

/// An hour, for schedules that are not to run.
const LATER: Duration = Duration::from_secs(3_600);

/// Waits that cost a test no time.
const QUICK: RetryOptions = RetryOptions::new().base_delay_ms(1).max_delay_ms(10);

/// What came of a job that was tried several times.
#[derive(Debug, Serialize)]
pub struct Tried {
    result: String,
    attempts: Vec<u32>,
}

/// A failure's message; empty if there was none.
#[derive(Debug, Serialize)]
pub struct Failed {
    error: String,
}

impl Failed {
    fn of<T>(outcome: Result<T>) -> Self {
        Self { error: outcome.err().map(|error| error.to_string()).unwrap_or_default() }
    }
}

/// Answer of `retryWithShouldRetry`.
#[derive(Debug, Serialize)]
pub struct Chosen {
    result: String,
    attempts: Vec<u32>,
    error: String,
}

/// Answer of `retryWithAttemptAwareShouldRetry`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    result: String,
    received_attempts: Vec<u32>,
}

/// Fails before attempt `first_good`, as `failure`; lists the attempts it sees.
async fn succeed_from(first_good: u32, failure: &str, attempts: &List<u32>, attempt: u32) -> Result<String> {
    attempts.push(attempt);
    if attempt < first_good {
        bail!("{failure}-{attempt}");
    }
    Ok(format!("ok-{attempt}"))
}

/// Retries with the library's defaults.
#[derive(Debug, Default)]
pub struct TestRetryAgent;

#[agent]
impl Agent for TestRetryAgent {}

#[callable(rename_all = "camelCase")]
impl TestRetryAgent {
    async fn retry_succeeds_on_attempt(&self, cx: &Context<Self>, n: u32) -> Result<Tried> {
        let attempts = List::default();
        let result = cx.retry(QUICK, async |attempt| succeed_from(n, "transient", &attempts, attempt).await).await?;
        Ok(Tried { result, attempts: attempts.items() })
    }

    async fn retry_exhausted(&self, cx: &Context<Self>) -> Result<Failed> {
        let job = async |attempt: u32| -> Result<()> { bail!("always-fail-{attempt}") };
        Ok(Failed::of(cx.retry(QUICK.max_attempts(2), job).await))
    }

    async fn retry_with_should_retry(&self, cx: &Context<Self>, fail_count: u32, permanent: bool) -> Result<Chosen> {
        let attempts = List::default();
        let failure = if permanent { "permanent" } else { "transient" };
        let job = async |attempt| succeed_from(fail_count + 1, failure, &attempts, attempt).await;
        let is_transient = |error: &Error, _| !error.to_string().starts_with("permanent");
        let outcome = cx.retry_if(QUICK.max_attempts(10), job, is_transient).await;
        let attempts = attempts.items();
        Ok(match outcome {
            Ok(result) => Chosen { result, attempts, error: String::new() },
            Err(error) => Chosen { result: String::new(), attempts, error: error.to_string() },
        })
    }

    async fn retry_with_attempt_aware_should_retry(&self, cx: &Context<Self>) -> Result<Asked> {
        let (attempts, received) = (List::default(), List::default());
        let job = async |attempt| succeed_from(4, "fail", &attempts, attempt).await;
        let agree = |_: &Error, next_attempt| {
            received.push(next_attempt);
            true
        };
        let result = cx.retry_if(QUICK.max_attempts(10), job, agree).await?;
        Ok(Asked { result, received_attempts: received.items() })
    }

    async fn retry_with_fractional_attempts(&self, cx: &Context<Self>) -> Result<Failed> {
        let options = match options(json!({"maxAttempts": 2.7})) {
            Ok(options) => options,
            refused => return Ok(Failed::of(refused)),
        };
        Ok(Failed::of(cx.retry(options, async |_| Ok(())).await))
    }

    fn enqueue_and_get_retry_options(&self, cx: &Context<Self>, retry: RetryOptions) -> Result<Option<RetryOptions>> {
        let id = cx.queue_with(&Self::NO_OP, &Value::Null, retry)?;
        Ok(cx.get_queue(&id)?.and_then(|item| item.retry))
    }

    fn enqueue_multiple_and_get_retry_options(&self, cx: &Context<Self>) -> Result<Vec<Option<RetryOptions>>> {
        let options =
            |attempts, base_ms, max_ms| RetryOptions::new().max_attempts(attempts).base_delay_ms(base_ms).max_delay_ms(max_ms);
        cx.queue_with(&Self::NO_OP, &json!({"group": "a"}), options(3, 100, 1000))?;
        cx.queue_with(&Self::NO_OP, &json!({"group": "a"}), options(7, 200, 5000))?;
        cx.queue(&Self::NO_OP, &json!({"group": "b"}))?;
        Ok(cx.get_queues("group", &"a".into())?.into_iter().map(|item| item.retry).collect())
    }

    fn schedule_and_get_retry_options(&self, cx: &Context<Self>, retry: RetryOptions) -> Result<Option<RetryOptions>> {
        let made = cx.schedule_with(LATER, &Self::NO_OP, &Value::Null, ScheduleOptions::new().retry(retry))?;
        Ok(cx.get_schedule(&made.id)?.and_then(|schedule| schedule.retry))
    }

    fn enqueue_with_invalid_retry(&self, cx: &Context<Self>) -> Result<Failed> {
        Ok(enqueued_with(cx, json!({"maxAttempts": 0})))
    }

    fn schedule_with_invalid_retry(&self, cx: &Context<Self>) -> Result<Failed> {
        Ok(Failed::of(options(json!({"maxAttempts": -1})).and_then(|options| {
            Ok(cx.schedule_with(LATER, &Self::NO_OP, &Value::Null, ScheduleOptions::new().retry(options))?)
        })))
    }

    fn enqueue_with_cross_field_invalid_retry(&self, cx: &Context<Self>) -> Result<Failed> {
        Ok(enqueued_with(cx, json!({"baseDelayMs": 5000})))
    }

    #[callback]
    fn no_op(&self, _payload: Value) -> Result<()> {
        Ok(())
    }
}

/// Options as a client sends them; some that it can send cannot be written in Rust.
fn options(json: Value) -> Result<RetryOptions> {
    Ok(serde_json::from_value(json)?)
}

fn enqueued_with(cx: &Context<TestRetryAgent>, retry: Value) -> Failed {
    Failed::of(options(retry).and_then(|retry| Ok(cx.queue_with(&TestRetryAgent::NO_OP, &Value::Null, retry)?)))
}
