//! What other code asks of a session: other agents and the worker, by typed stubs. Clients lack the scope.

use std::time::Duration;

use durable_agents::ScheduleFilter;
use durable_agents::liveness::Liveness;
use durable_agents::prelude::*;
use serde_json::Value;

use super::delivery::{emit, sockets};
use super::frames::{Frame, Other};
use super::store::Store;
use super::{HEARTBEAT, MAX_HEARTBEAT_S, MAX_PAYLOAD_BYTES, MAX_TYPE_BYTES, SessionAgent};

#[agent]
impl SessionAgent {
    /// Sends a frame to every session of this instance, and returns how many there are.
    ///
    /// A session without a connection gets it when its client comes back.
    ///
    /// # Errors
    /// The type is empty or longer than [`MAX_TYPE_BYTES`], or the payload is larger than [`MAX_PAYLOAD_BYTES`].
    #[callable(scope = "session:publish")]
    pub async fn broadcast(&self, cx: &Context<Self>, r#type: String, payload: Value) -> Result<u64> {
        let frame = other(&r#type, &payload)?;
        let ids = Store(cx).ids()?;
        for id in &ids {
            emit(cx, id, frame, None)?;
        }
        Ok(u64::try_from(ids.len()).unwrap_or(u64::MAX))
    }

    /// Sends a frame to one session, and says whether there is one of that id.
    ///
    /// Without a connection, its client gets it when coming back.
    ///
    /// # Errors
    /// Those of [`broadcast`](Self::broadcast).
    #[callable(scope = "session:publish")]
    pub async fn send_to_client(&self, cx: &Context<Self>, client_id: String, r#type: String, payload: Value) -> Result<bool> {
        let frame = other(&r#type, &payload)?;
        let Some(session) = self.known(cx, &client_id)? else { return Ok(false) };
        emit(cx, &session.id, frame, None)?;
        Ok(true)
    }

    /// Ends a session: its answer stops, its socket is closed with 1001, and nothing of it is left. Says whether there was one.
    #[callable(scope = "session:publish")]
    pub async fn destroy_session(&self, cx: &Context<Self>, client_id: String) -> Result<bool> {
        self.runs.stop(&client_id);
        let existed = Store(cx).remove(&client_id)?;
        for connection in sockets(cx, &client_id) {
            // One that has gone by itself need not be told.
            let _ = connection.close(1001, "Session destroyed");
        }
        self.stop_heartbeat_if_alone(cx)?;
        Ok(existed)
    }

    /// Closes the sockets that have shown no life for two periods.
    #[callback]
    async fn heartbeat(&self, cx: &Context<Self>) -> Result<()> {
        let period = heartbeat_period(cx);
        for connection in cx.check_life(&Liveness::new().interval(period).timeout(period * 2)).silent {
            // One that has gone by itself need not be told.
            let _ = connection.close(4008, "No sign of life");
        }
        self.miss(cx)?;
        self.forget_old(cx)?;
        self.stop_heartbeat_if_alone(cx)
    }

    pub(super) fn start_heartbeat(&self, cx: &Context<Self>) -> Result<()> {
        // The one that is there already stays.
        cx.schedule(When::every(heartbeat_period(cx)), &Self::HEARTBEAT, &())?;
        Ok(())
    }

    /// Without connections there is nobody to look after, and no alarm.
    pub(super) fn stop_heartbeat_if_alone(&self, cx: &Context<Self>) -> Result<()> {
        if cx.connections().next().is_some() {
            return Ok(());
        }
        for schedule in cx.schedules(&ScheduleFilter::new().callback(Self::HEARTBEAT.name()))? {
            cx.cancel_schedule(&schedule.id)?;
        }
        Ok(())
    }
}

fn heartbeat_period(cx: &Context<SessionAgent>) -> Duration {
    let seconds = cx.var("SESSION_HEARTBEAT_S").and_then(|text| text.parse().ok());
    seconds.filter(|seconds| (1..=MAX_HEARTBEAT_S).contains(seconds)).map_or(HEARTBEAT, Duration::from_secs)
}

fn other<'a>(kind: &'a str, payload: &'a Value) -> Result<Frame<'a>> {
    if kind.is_empty() || kind.len() > MAX_TYPE_BYTES {
        bail!("type: 1 to {MAX_TYPE_BYTES} bytes");
    }
    let size_bytes = serde_json::to_vec(payload)?.len();
    if size_bytes > MAX_PAYLOAD_BYTES {
        bail!("payload has {size_bytes} bytes, limit is {MAX_PAYLOAD_BYTES}");
    }
    Ok(Frame::Other(Other { kind, payload }))
}
