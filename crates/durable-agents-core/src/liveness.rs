//! Which connections still have somebody at the other end.
//!
//! A network that breaks tells nobody: the platform goes on showing the socket as open. A client that pings now and then gives a
//! sign of life, and [`Context::set_auto_response`] has the platform answer it without waking the agent. An alarm, only while there
//! are connections, looks for those that gave none for too long.
//!
//! ```
//! use durable_agents_core::liveness::Liveness;
//! # use durable_agents_core::http::Request;
//! # use durable_agents_core::{Agent, Connection, Context, Message, Result};
//! # struct Chat;
//! const LIVENESS: Liveness = Liveness::new();
//!
//! impl Agent for Chat {
//! #   type State = ();
//! #   type ConnectionState = ();
//! #   type Props = ();
//! #   const CLASS: &'static str = "Chat";
//! #   fn new(_: &Context<Self>) -> Self { Self }
//!     async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
//!         Ok(cx.set_auto_response(Some(("ping", "pong")))?)
//!     }
//!
//!     fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, _: &Message) -> Result<bool> {
//!         connection.note_life()?;
//!         Ok(true)
//!     }
//! }
//!
//! impl Chat {
//!     /// What a schedule runs, the first time `LIVENESS.interval` after the first connection came. Returns when to run it again.
//!     fn look_for_life(&self, cx: &Context<Self>) -> Result<Option<u64>> {
//!         let checkup = cx.check_life(&LIVENESS);
//!         for connection in &checkup.silent {
//!             connection.close(4008, "No sign of life")?;
//!         }
//!         Ok(checkup.next_ms)
//!     }
//! }
//! ```
//!
//! # Cost
//! Noting life writes the attachment at most once a second for each connection, together with whatever else of it the hook changes;
//! answers by the platform cost nothing at all.

use std::rc::Rc;
use std::time::Duration;

use crate::agent::Agent;
use crate::connection::Connection;
use crate::context::Context;
use crate::demand;
use crate::error::AttachmentError;
use crate::host::HostError;
use crate::link::Link;
use crate::meter::Meter;
use crate::shell::Shell;
use crate::time::{after, full_second};

/// Longest text that the platform recognises, or answers, by itself: in characters as JavaScript counts them.
///
/// Source: <https://developers.cloudflare.com/durable-objects/api/state/#setwebsocketautoresponse>
pub const MAX_AUTO_RESPONSE_CHARS: usize = 2_048;

/// How often to look for life, and how long a connection may be silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Liveness {
    /// Longest time between two looks. Default: 30 s.
    pub interval: Duration,
    /// How long a connection may be silent. Default: 60 s.
    pub timeout: Duration,
}

/// What a look for life found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkup<C> {
    /// Those that have been silent for too long.
    pub silent: Vec<C>,
    /// The others.
    pub alive: Vec<C>,
    /// When to look again, in Unix milliseconds and a full second: after the interval, or sooner where somebody's time is up sooner.
    /// `None` where nobody is left to look for, and no alarm is needed.
    pub next_ms: Option<u64>,
}

impl Liveness {
    /// The defaults.
    #[must_use]
    pub const fn new() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(60) }
    }

    /// Replaces the longest time between two looks.
    #[must_use]
    pub const fn interval(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Replaces how long a connection may be silent.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Decides who is alive, of connections with the time of their last sign of life in Unix milliseconds.
    pub fn check<C>(&self, now_ms: u64, lives: impl IntoIterator<Item = (C, u64)>) -> Checkup<C> {
        let mut checkup = Checkup { silent: Vec::new(), alive: Vec::new(), next_ms: None };
        for (connection, life_ms) in lives {
            let deadline_ms = after(life_ms, self.timeout);
            if deadline_ms <= now_ms {
                checkup.silent.push(connection);
            } else {
                checkup.alive.push(connection);
                let look_ms = deadline_ms.min(after(now_ms, self.interval));
                let next_ms = checkup.next_ms.map_or(look_ms, |next_ms| next_ms.min(look_ms));
                checkup.next_ms = Some(next_ms);
            }
        }
        // Alarms of schedules come at full seconds: rounded down, one would come too early, find nobody and be set again at once.
        checkup.next_ms = checkup.next_ms.map(|at_ms| full_second(at_ms.max(now_ms.saturating_add(1))));
        checkup
    }
}

impl Default for Liveness {
    fn default() -> Self {
        Self::new()
    }
}

/// Life: see [`liveness`](self).
impl<A: Agent> Connection<A> {
    /// When it was opened, in Unix milliseconds.
    pub fn connected_ms(&self) -> u64 {
        self.link.connected_ms()
    }

    /// Takes note that its client has given a sign of life now. Call it in
    /// [`should_handle_message`](Agent::should_handle_message), which sees every message.
    ///
    /// # Errors
    /// - [`AttachmentError::Closed`]: the connection has ended.
    pub fn note_life(&self) -> Result<(), AttachmentError> {
        note_life(&self.instance.shell, &self.link)
    }

    /// Its last sign of life, in Unix milliseconds: its opening, what was [noted](Self::note_life), rounded up to a second, or a
    /// message that the platform answered. The same before and after hibernation.
    pub fn last_life_ms(&self) -> u64 {
        last_life_ms(&self.instance.shell, &self.link)
    }
}

/// Life: see [`liveness`](self).
impl<A: Agent> Context<A> {
    /// Has the platform answer text messages that are exactly the first of the pair with the second, on every connection and
    /// without waking the agent; `None` ends that.
    ///
    /// Set it in [`on_start`](Agent::on_start): it holds for this object's time as a whole, through hibernation, but not through a
    /// reset. The agent, its limits and its counts never see such a message. Without effect on connections that do not
    /// [hibernate](crate::AgentOptions::hibernate).
    ///
    /// # Errors
    /// The platform's: one of the texts is longer than [`MAX_AUTO_RESPONSE_CHARS`].
    pub fn set_auto_response(&self, pair: Option<(&str, &str)>) -> Result<(), HostError> {
        demand::SET_AUTO_RESPONSE.note();
        self.platform().set_auto_response(pair)
    }

    /// Looks which of the open connections are alive.
    pub fn check_life(&self, liveness: &Liveness) -> Checkup<Connection<A>> {
        let Checkup { silent, alive, next_ms } = check_links(&self.instance.shell, liveness);
        let connections = |links: Vec<Rc<Link>>| links.into_iter().map(|link| self.instance.connection(link)).collect();
        Checkup { silent: connections(silent), alive: connections(alive), next_ms }
    }
}

fn note_life(shell: &Shell, link: &Rc<Link>) -> Result<(), AttachmentError> {
    let now_s = shell.host.now_ms().div_ceil(1_000);
    let mut meter = Meter::of(link);
    if meter.heard_s == now_s {
        return Ok(());
    }
    meter.heard_s = now_s;
    meter.store(link)
}

fn last_life_ms(shell: &Shell, link: &Link) -> u64 {
    demand::AUTO_RESPONSE_MS.note();
    let answered_ms = link.socket().and_then(|socket| shell.host.auto_response_ms(&**socket)).unwrap_or(0);
    let heard_ms = Meter::of(link).heard_s.saturating_mul(1_000);
    link.connected_ms().max(heard_ms).max(answered_ms)
}

fn check_links(shell: &Shell, liveness: &Liveness) -> Checkup<Rc<Link>> {
    let lives = shell.open_links(None).into_iter().map(|link| {
        let life_ms = last_life_ms(shell, &link);
        (link, life_ms)
    });
    liveness.check(shell.host.now_ms(), lives)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_silent_and_when_to_look_again() {
        let liveness = Liveness::new();
        let s = |seconds: u64| seconds * 1_000;
        for (now_ms, lives_ms, silent, next_ms) in [
            (s(100), &[][..], 0, None),
            (s(100), &[s(100)], 0, Some(s(130))),
            (s(100), &[s(40)], 1, None),
            (s(100), &[s(40) + 1], 0, Some(s(101))),
            (s(100), &[s(41), s(90)], 0, Some(s(101))),
            (s(100), &[s(10), s(75)], 1, Some(s(130))),
            (s(100), &[s(10), s(60)], 1, Some(s(120))),
            // A life noted in the second that has begun, and a clock that has gone back.
            (s(100) + 1, &[s(101)], 0, Some(s(131))),
            (s(100), &[s(500)], 0, Some(s(130))),
        ] {
            let checkup = liveness.check(now_ms, lives_ms.iter().map(|&life_ms| (life_ms, life_ms)));
            assert_eq!((checkup.silent.len(), checkup.next_ms), (silent, next_ms), "{now_ms} {lives_ms:?}");
            assert_eq!(checkup.alive.len() + silent, lives_ms.len());
            assert!(checkup.next_ms.is_none_or(|next_ms| next_ms > now_ms));
        }
    }
}
