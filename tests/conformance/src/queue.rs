//! The queue.

use std::time::Duration;

use durable_agents::prelude::*;
use serde::{Deserialize, Serialize};

use crate::list::List;
use crate::number;

/// Queues what succeeds and what fails, once each.
#[derive(Debug, Default)]
pub struct TestQueueAgent {
    executed: List<String>,
}

/// What the callbacks get.
#[derive(Debug, Deserialize, Serialize)]
pub struct Item {
    value: String,
}

#[agent]
impl Agent for TestQueueAgent {
    const OPTIONS: AgentOptions = AgentOptions::new().retry(RetryOptions::new().max_attempts(1));
}

#[callable(rename_all = "camelCase")]
impl TestQueueAgent {
    fn enqueue_success(&self, cx: &Context<Self>, value: String) -> Result<String> {
        Ok(cx.queue(&Self::SUCCESS_CALLBACK, &Item { value })?)
    }

    fn enqueue_throwing(&self, cx: &Context<Self>, value: String) -> Result<String> {
        Ok(cx.queue(&Self::THROWING_CALLBACK, &Item { value })?)
    }

    fn get_executed_callbacks(&self) -> Result<Vec<String>> {
        Ok(self.executed.items())
    }

    fn reset_executed_callbacks(&self) -> Result<()> {
        self.executed.clear();
        Ok(())
    }

    fn get_queue_length(&self, cx: &Context<Self>) -> Result<u64> {
        Ok(cx.queue_len()?)
    }

    async fn wait_for_flush(&self, cx: &Context<Self>, timeout_ms: f64) -> Result<()> {
        let (begin_ms, patience) = (cx.now_ms(), number::millis(timeout_ms).as_millis());
        while cx.queue_len()? > 0 && u128::from(cx.now_ms().saturating_sub(begin_ms)) < patience {
            cx.sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    #[callback]
    fn success_callback(&self, item: Item) -> Result<()> {
        self.executed.push(format!("success:{}", item.value));
        Ok(())
    }

    #[callback]
    fn throwing_callback(&self, _item: Item) -> Result<()> {
        bail!("Intentional queue callback error")
    }
}
