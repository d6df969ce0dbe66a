//! Schedules and the alarm that runs them.

use std::cell::Cell;
use std::time::Duration;

use durable_agents::prelude::*;
use durable_agents::rpc;
use durable_agents::{Schedule, ScheduleFilter};
use serde::Serialize;
use serde_json::Value;

mod rows;
mod script;

pub use script::Step;
use script::{Kind, Script};

/// Long enough for the alarm not to ring while a test runs it by hand.
const NOT_YET: Duration = Duration::from_secs(60);

/// Schedules in every way there is.
#[derive(Debug, Default)]
pub struct TestScheduleAgent {
    interval_runs: Cell<u32>,
    script: Script,
}

/// Answer of `createIntervalScheduleAndReadAlarm`.
#[derive(Debug, Serialize)]
pub struct Armed {
    alarm: Option<u64>,
    id: String,
}

/// Answer of `runOneShotThrowingForTest`.
#[derive(Debug, Serialize)]
pub struct Thrown {
    threw: bool,
    remaining: usize,
}

/// Answer of `runOneShotSequenceForTest`.
#[derive(Debug, Serialize)]
pub struct Played {
    #[serde(flatten)]
    thrown: Thrown,
    calls: usize,
}

#[agent]
impl Agent for TestScheduleAgent {}

#[callable(rename_all = "camelCase")]
impl TestScheduleAgent {
    fn create_schedule(&self, cx: &Context<Self>, delay_seconds: f64) -> Result<String> {
        Ok(cx.schedule(When::after_seconds(delay_seconds), &Self::TEST_CALLBACK, &Value::Null)?.id)
    }

    fn create_interval_schedule(&self, cx: &Context<Self>, seconds: f64) -> Result<String> {
        Ok(cx.schedule(When::every_seconds(seconds), &Self::INTERVAL_CALLBACK, &())?.id)
    }

    async fn create_interval_schedule_and_read_alarm(&self, cx: &Context<Self>, seconds: f64) -> Result<Armed> {
        let id = self.create_interval_schedule(cx, seconds)?;
        Ok(Armed { alarm: cx.alarm_ms().await?, id })
    }

    fn create_throwing_interval_schedule(&self, cx: &Context<Self>, seconds: f64) -> Result<String> {
        Ok(cx.schedule(When::every_seconds(seconds), &Self::THROWING_CALLBACK, &())?.id)
    }

    fn create_cron_schedule(&self, cx: &Context<Self>, expr: String) -> Result<String> {
        Ok(cx.schedule(When::cron(expr), &Self::CRON_CALLBACK, &Value::Null)?.id)
    }

    fn create_cron_schedule_with_payload(&self, cx: &Context<Self>, expr: String, payload: String) -> Result<String> {
        Ok(cx.schedule(When::cron(expr), &Self::CRON_CALLBACK, &payload.into())?.id)
    }

    fn create_cron_schedule_non_idempotent(&self, cx: &Context<Self>, expr: String) -> Result<String> {
        let options = ScheduleOptions::new().idempotent(false);
        Ok(cx.schedule_with(When::cron(expr), &Self::CRON_CALLBACK, &Value::Null, options)?.id)
    }

    fn create_idempotent_delayed_schedule(&self, cx: &Context<Self>, delay_seconds: f64) -> Result<String> {
        Self::create_once(cx, When::after_seconds(delay_seconds), &Value::Null)
    }

    fn create_idempotent_delayed_schedule_with_payload(
        &self,
        cx: &Context<Self>,
        delay_seconds: f64,
        payload: String,
    ) -> Result<String> {
        Self::create_once(cx, When::after_seconds(delay_seconds), &payload.into())
    }

    fn create_idempotent_scheduled_schedule(&self, cx: &Context<Self>, time_ms: u64) -> Result<String> {
        Self::create_once(cx, When::at_ms(time_ms), &Value::Null)
    }

    fn cancel_schedule_by_id(&self, cx: &Context<Self>, id: String) -> Result<bool> {
        Ok(cx.cancel_schedule(&id)?)
    }

    fn get_stored_schedule_by_id(&self, cx: &Context<Self>, id: String) -> Result<rpc::Answer> {
        match cx.get_schedule(&id)? {
            Some(schedule) => rpc::answer(&schedule),
            None => Ok(None),
        }
    }

    fn get_schedules_by_type(&self, cx: &Context<Self>, kind: String) -> Result<Vec<Schedule>> {
        Ok(cx.schedules(&ScheduleFilter::new().kind(kind))?)
    }

    fn get_schedule_count_by_type_and_callback(&self, cx: &Context<Self>, kind: String, callback: String) -> Result<usize> {
        Ok(cx.schedules(&ScheduleFilter::new().kind(kind).callback(callback))?.len())
    }

    fn clear_stored_alarm(&self, cx: &Context<Self>) -> Result<()> {
        set_alarm(cx, None)
    }

    fn set_stored_alarm(&self, cx: &Context<Self>, time_ms: u64) -> Result<()> {
        set_alarm(cx, Some(time_ms))
    }

    async fn get_stored_alarm(&self, cx: &Context<Self>) -> Result<Option<u64>> {
        Ok(cx.alarm_ms().await?)
    }

    fn insert_stale_delayed_rows(&self, cx: &Context<Self>, count: u32, callback: String) -> Result<()> {
        for n in 0..count {
            let schedule = cx.schedule(NOT_YET, &Self::TEST_CALLBACK, &Value::Null)?;
            rows::make_stale(cx, &schedule, &format!("stale-{n}"), &callback)?;
        }
        set_alarm(cx, Some(cx.now_ms() + 1_000))
    }

    async fn run_one_shot_throwing_for_test(&self, cx: &Context<Self>, message: String) -> Result<Thrown> {
        self.script.load(vec![Step { kind: Kind::Throw, message }]);
        let one_shot = Self::schedule_one_shot(cx, RetryOptions::new().max_attempts(1))?;
        Self::run_alarm(cx, &one_shot).await
    }

    async fn run_one_shot_sequence_for_test(&self, cx: &Context<Self>, steps: Vec<Step>, max_attempts: u32) -> Result<Played> {
        self.script.load(steps);
        let retry = RetryOptions::new().max_attempts(max_attempts).base_delay_ms(1).max_delay_ms(2);
        let one_shot = Self::schedule_one_shot(cx, retry)?;
        let thrown = Self::run_alarm(cx, &one_shot).await?;
        cx.cancel_schedule(&one_shot.id)?;
        Ok(Played { thrown, calls: self.script.calls() })
    }

    fn get_alarm_strikes_for_test(&self, cx: &Context<Self>) -> Result<u64> {
        Ok(cx.memory_limit_strikes()?)
    }

    async fn run_clean_alarm_for_test(&self, cx: &Context<Self>) -> Result<()> {
        cx.run_due().await
    }

    #[callback]
    fn test_callback(&self, _payload: Value) -> Result<()> {
        Ok(())
    }

    #[callback]
    fn cron_callback(&self, _payload: Value) -> Result<()> {
        Ok(())
    }

    #[callback]
    fn second_interval_callback(&self) -> Result<()> {
        Ok(())
    }

    #[callback]
    fn interval_callback(&self) -> Result<()> {
        self.interval_runs.set(self.interval_runs.get() + 1);
        Ok(())
    }

    #[callback]
    fn throwing_callback(&self) -> Result<()> {
        bail!("Intentional test error")
    }

    #[callback]
    fn scripted_callback(&self) -> Result<()> {
        self.script.play()
    }
}

impl TestScheduleAgent {
    fn create_once(cx: &Context<Self>, when: impl Into<When>, payload: &Value) -> Result<String> {
        Ok(cx.schedule_with(when, &Self::TEST_CALLBACK, payload, ScheduleOptions::new().idempotent(true))?.id)
    }

    /// Schedules what follows the script, and makes it due without touching the alarm.
    fn schedule_one_shot(cx: &Context<Self>, retry: RetryOptions) -> Result<Schedule> {
        let one_shot = cx.schedule_with(NOT_YET, &Self::SCRIPTED_CALLBACK, &(), ScheduleOptions::new().retry(retry))?;
        rows::make_due(cx, &one_shot)?;
        Ok(one_shot)
    }

    async fn run_alarm(cx: &Context<Self>, one_shot: &Schedule) -> Result<Thrown> {
        let threw = cx.run_due().await.is_err();
        let remaining = cx.schedules(&ScheduleFilter::new().id(&one_shot.id))?.len();
        Ok(Thrown { threw, remaining })
    }
}

/// Sets the alarm of the object beneath the library.
fn set_alarm(cx: &Context<TestScheduleAgent>, at_ms: Option<u64>) -> Result<()> {
    cx.host().set_alarm(at_ms)?;
    cx.reload_alarm();
    Ok(())
}
