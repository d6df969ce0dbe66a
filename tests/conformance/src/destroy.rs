//! An agent that destroys itself by schedule.

use durable_agents::prelude::*;
use serde_json::{Value, json};

/// Seconds until the end if nobody says how many: a day.
const DEFAULT_DELAY_SECONDS: f64 = 86_400.0;

/// Destroys itself by schedule.
#[derive(Debug, Default)]
pub struct TestDestroyScheduleAgent;

#[agent]
impl Agent for TestDestroyScheduleAgent {
    type State = Value;

    fn initial_state(&self) -> Option<Value> {
        Some(json!({"status": "unscheduled"}))
    }
}

#[callable(rename_all = "camelCase")]
impl TestDestroyScheduleAgent {
    fn schedule_self_destructing_alarm(&self, cx: &Context<Self>, delay_seconds: Option<f64>) -> Result<&'static str> {
        cx.set_state(json!({"status": "scheduled"}))?;
        let delay_seconds = delay_seconds.unwrap_or(DEFAULT_DELAY_SECONDS);
        cx.schedule(When::after_seconds(delay_seconds), Callback::DESTROY, &())?;
        Ok("scheduled")
    }
}
