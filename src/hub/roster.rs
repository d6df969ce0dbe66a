//! Who is here, and whether somebody is still at the other end.

use durable_agents::When;
use durable_agents::liveness::Liveness;
use durable_agents::prelude::*;
use durable_agents::presence::{News, Present, Settled};

use super::frames::{Frame, Offline, Presence, Status};
use super::{HubAgent, Visitor};

const LIVENESS: Liveness = Liveness::new();

fn interval_ms() -> u64 {
    u64::try_from(LIVENESS.interval.as_millis()).unwrap_or(u64::MAX)
}

/// Close code of a connection without life.
pub const SILENT: u16 = 4008;

/// Tag of all connections of a user.
pub(super) fn tag_of(user: &str) -> String {
    format!("user:{user}")
}

impl Present for HubAgent {
    type Meta = Status;

    fn who(connection: &Connection<Self>) -> Option<(String, Status)> {
        let visitor = connection.state().ok()??;
        Some((visitor.user_id.clone()?, visitor.status))
    }

    fn tag(user: &str) -> Option<String> {
        Some(tag_of(user))
    }

    fn merge(one: Status, other: Status) -> Status {
        one.max(other)
    }
}

impl HubAgent {
    /// Takes note of a newcomer, and returns the roster it is told. The others hear of the newcomer only if that is news.
    pub(super) fn arrive(&self, cx: &Context<Self>, newcomer: &Connection<Self>) -> Result<Vec<String>> {
        let news = cx.arrive(newcomer)?;
        self.announce(cx, news, Some(newcomer))?;
        let now_ms = cx.now_ms();
        let frame = |(user_id, status): (&String, &Status)| {
            Frame::UserPresence { user_id, status: Presence::Here(*status) }.to_text(now_ms)
        };
        Ok(cx.roster()?.iter().map(frame).collect::<serde_json::Result<_>>()?)
    }

    /// Takes note of who has left; the others hear of it now, or when the grace period is over.
    pub(super) fn depart(&self, cx: &Context<Self>, connection: &Connection<Self>) -> Result<()> {
        let Settled { news, look_again_ms } = cx.depart(connection)?;
        self.announce(cx, news, None)?;
        if let Some(at_ms) = look_again_ms {
            let options = ScheduleOptions::new().idempotent(true);
            cx.schedule_with(When::at_ms(at_ms), Self::SETTLE, &(), options)?;
        }
        Ok(())
    }

    /// Changes the status of one device.
    pub(super) fn change_status(&self, cx: &Context<Self>, connection: &Connection<Self>, status: Status) -> Result<()> {
        let change = || connection.update_state(|visitor| Visitor { status, ..visitor.unwrap_or_default() });
        let Settled { news, .. } = cx.change_presence(connection, change)?;
        self.announce(cx, news, None)
    }

    /// Says who has been gone for longer than the grace period.
    pub(super) fn settle_roster(&self, cx: &Context<Self>) -> Result<()> {
        let Settled { news, look_again_ms } = cx.settle_presence()?;
        self.announce(cx, news, None)?;
        if let Some(at_ms) = look_again_ms {
            // A new one, as the one that runs now is there until it has ended.
            cx.schedule(When::at_ms(at_ms), Self::SETTLE, &())?;
        }
        Ok(())
    }

    /// Sees to it that somebody looks for life while there are connections.
    pub(super) fn watch(&self, cx: &Context<Self>) -> Result<()> {
        let at_ms = cx.now_ms() + interval_ms();
        cx.schedule_with(When::at_ms(at_ms), Self::LOOK, &(), ScheduleOptions::new().idempotent(true))?;
        Ok(())
    }

    /// Shows out who has been silent, and asks the others for a sign of life.
    pub(super) fn look_for_life(&self, cx: &Context<Self>) -> Result<()> {
        let checkup = cx.check_life(&LIVENESS);
        for connection in checkup.silent {
            self.dismiss(cx, &connection, SILENT, "No sign of life")?;
        }
        let Some(next_ms) = checkup.next_ms else { return Ok(()) };
        let mut due_ms = Self::last_ping_ms(cx)? + interval_ms();
        // Somebody's time being up is no reason to ask all the others sooner.
        if due_ms <= cx.now_ms() {
            let ping = Frame::Ping.to_text(cx.now_ms())?;
            self.deliver(cx, checkup.alive.into_iter(), ping, |_| true)?;
            // An alarm is a little late: rounded up, each would come a second later than the one before.
            let round_ms = cx.now_ms() / 1_000 * 1_000;
            Self::note_ping(cx, round_ms)?;
            due_ms = round_ms + interval_ms();
        }
        cx.schedule(When::at_ms(next_ms.min(due_ms)), Self::LOOK, &())?;
        Ok(())
    }

    /// Closes a connection, which counts as gone from now on: whoever is at its other end may never answer.
    pub(super) fn dismiss(&self, cx: &Context<Self>, connection: &Connection<Self>, code: u16, why: &str) -> Result<()> {
        Self::close_account(cx, connection)?;
        // One that has closed already is as good.
        let _ = connection.close(code, why);
        self.depart(cx, connection)
    }

    fn announce(
        &self,
        cx: &Context<Self>,
        news: impl IntoIterator<Item = News<Status>>,
        without: Option<&Connection<Self>>,
    ) -> Result<()> {
        for news in news {
            let (user_id, status) = match &news {
                News::Here { user, meta } => (user, Presence::Here(*meta)),
                News::Gone { user, .. } => (user, Presence::Gone(Offline::Offline)),
            };
            let frame = Frame::UserPresence { user_id, status }.to_text(cx.now_ms())?;
            let others = cx.connections().filter(|connection| Some(connection) != without);
            self.deliver(cx, others, frame, Visitor::is_signed_in)?;
        }
        Ok(())
    }
}
