//! Options that hold for all work of an agent.

use durable_agents::prelude::*;

use super::{Failed, Tried, succeed_from};
use crate::list::List;

/// Retries with options of its own.
#[derive(Debug, Default)]
pub struct TestRetryDefaultsAgent;

#[agent]
impl Agent for TestRetryDefaultsAgent {
    const OPTIONS: AgentOptions =
        AgentOptions::new().retry(RetryOptions::new().max_attempts(5).base_delay_ms(10).max_delay_ms(50));
}

#[callable(rename_all = "camelCase")]
impl TestRetryDefaultsAgent {
    async fn retry_using_defaults(&self, cx: &Context<Self>) -> Result<Tried> {
        let attempts = List::default();
        let job = async |attempt| succeed_from(5, "fail", &attempts, attempt).await;
        let result = cx.retry(RetryOptions::new(), job).await?;
        Ok(Tried { result, attempts: attempts.items() })
    }

    async fn retry_exceeding_defaults(&self, cx: &Context<Self>) -> Result<Failed> {
        let job = async |attempt: u32| -> Result<()> { bail!("always-fail-{attempt}") };
        Ok(Failed::of(cx.retry(RetryOptions::new(), job).await))
    }

    async fn retry_with_override(&self, cx: &Context<Self>) -> Result<Tried> {
        let attempts = List::default();
        let job = async |attempt| succeed_from(2, "fail", &attempts, attempt).await;
        let result = cx.retry(RetryOptions::new().max_attempts(2), job).await?;
        Ok(Tried { result, attempts: attempts.items() })
    }
}
