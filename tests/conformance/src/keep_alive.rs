//! Leases that keep an agent from being dropped while it works.

use std::cell::RefCell;

use durable_agents::prelude::*;
use durable_agents::{KeepAlive, ScheduleFilter};

/// Takes leases and gives them back.
#[derive(Debug, Default)]
pub struct TestKeepAliveAgent {
    leases: RefCell<Vec<KeepAlive>>,
}

#[agent]
impl Agent for TestKeepAliveAgent {}

#[callable(rename_all = "camelCase")]
impl TestKeepAliveAgent {
    fn start_keep_alive(&self, cx: &Context<Self>) -> Result<&'static str> {
        self.leases.borrow_mut().push(cx.keep_alive()?);
        Ok("started")
    }

    fn stop_keep_alive(&self) -> Result<&'static str> {
        let lease = self.leases.borrow_mut().pop();
        drop(lease);
        Ok("stopped")
    }

    async fn get_current_alarm(&self, cx: &Context<Self>) -> Result<Option<u64>> {
        Ok(cx.alarm_ms().await?)
    }

    fn get_schedule_count(&self, cx: &Context<Self>) -> Result<usize> {
        Ok(cx.schedules(&ScheduleFilter::new())?.len())
    }

    fn get_keep_alive_ref_count(&self, cx: &Context<Self>) -> Result<usize> {
        Ok(cx.keep_alive_count())
    }

    fn schedule_far_future_task(&self, cx: &Context<Self>, delay_seconds: f64) -> Result<()> {
        cx.schedule(When::after_seconds(delay_seconds), &Self::FAR_FUTURE_TASK, &())?;
        Ok(())
    }

    async fn run_with_keep_alive_while(&self, cx: &Context<Self>) -> Result<&'static str> {
        Ok(cx.keep_alive_while(async { "completed" }).await?)
    }

    async fn run_with_keep_alive_while_error(&self, cx: &Context<Self>) -> Result<&'static str> {
        let job = async { Result::<()>::Err(error!("task failed")) };
        Ok(if cx.keep_alive_while(job).await?.is_err() { "caught" } else { "not caught" })
    }

    #[callback]
    fn far_future_task(&self) -> Result<()> {
        Ok(())
    }
}
