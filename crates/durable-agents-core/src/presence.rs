//! Who is here.
//!
//! A user is here as long as one of its connections is open, and for a grace period after the last one has closed: a page that is
//! loaded anew, or a phone that changes its network, is nobody who leaves. Several connections of one user count as one, with
//! their metadata merged.
//!
//! The agent says who a connection is, by [`Present`]; the rest follows from the open connections and their attachments, whenever
//! somebody asks, so there is nothing that could be out of date after hibernation. Nothing is written while a user is here; one
//! small row stands for a user in its grace period.
//!
//! ```
//! use durable_agents_core::presence::{News, Present};
//! # use durable_agents_core::http::Request;
//! # use durable_agents_core::{Agent, Close, Connection, Context, Message, Result};
//! # struct Hub;
//!
//! impl Present for Hub {
//!     type Meta = String;
//!
//!     fn who(connection: &Connection<Self>) -> Option<(String, String)> {
//!         let state = connection.state().ok()??;
//!         Some((state.user.clone(), state.status.clone()))
//!     }
//!
//!     fn merge(one: String, other: String) -> String {
//!         // Online over busy over away.
//!         one.max(other)
//!     }
//! }
//! # #[derive(Clone, serde::Serialize, serde::Deserialize)]
//! # struct User { user: String, status: String }
//!
//! impl Agent for Hub {
//! #   type State = ();
//! #   type ConnectionState = User;
//! #   type Props = ();
//! #   const CLASS: &'static str = "Hub";
//! #   fn new(_: &Context<Self>) -> Self { Self }
//!     async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
//!         // Once it is known who it is:
//!         connection.set_state(User { user: "ada".to_owned(), status: "online".to_owned() })?;
//!         let news = cx.arrive(connection)?;
//!         for (user, status) in cx.roster()? {
//!             connection.send(format!("{user} is {status}"))?;
//!         }
//!         self.announce(cx, news)
//!     }
//!
//!     async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
//!         let Some(user) = connection.state()? else { return Ok(()) };
//!         let status = message.as_text().unwrap_or_default().to_owned();
//!         let changed = cx.change_presence(connection, || connection.set_state(User { status, ..User::clone(&user) }))?;
//!         self.announce(cx, changed.news)
//!     }
//!
//!     async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
//!         // `look_again_ms` is for a schedule that calls `settle`.
//!         let departure = cx.depart(connection)?;
//!         self.announce(cx, departure.news)
//!     }
//! }
//!
//! impl Hub {
//!     /// What the schedule runs. Returns when to run it again.
//!     fn settle(&self, cx: &Context<Self>) -> Result<Option<u64>> {
//!         let settled = cx.settle_presence()?;
//!         self.announce(cx, settled.news)?;
//!         Ok(settled.look_again_ms)
//!     }
//!
//!     fn announce(&self, cx: &Context<Self>, news: impl IntoIterator<Item = News<String>>) -> Result<()> {
//!         for news in news {
//!             cx.broadcast(match news {
//!                 News::Here { user, meta } => format!("{user} is {meta}"),
//!                 News::Gone { user, .. } => format!("{user} is offline"),
//!             }, &[]);
//!         }
//!         Ok(())
//!     }
//! }
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::Agent;
use crate::attachment::Flags;
use crate::connection::Connection;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::sql::SqlError;
use crate::time::{after, full_second, millis};

mod table;

pub use table::MAX_LEAVERS;

/// An agent that knows who is here.
pub trait Present: Agent {
    /// What others are to know of a user.
    type Meta: Serialize + DeserializeOwned + Clone + PartialEq + 'static;

    /// How long a user without a connection is still here. Default: 5 s.
    const GRACE: Duration = Duration::from_secs(5);

    /// Who a connection is, by its state, tags or URL. `None`: nobody, as a guest or somebody who has not signed in yet.
    ///
    /// Asked of every open connection, also of one that has closed just now.
    fn who(connection: &Connection<Self>) -> Option<(String, Self::Meta)>;

    /// The tag under which all connections of a user are found, if the agent tags them. Default: none, and all are looked at when
    /// one of them changes.
    fn tag(user: &str) -> Option<String> {
        let _ = user;
        None
    }

    /// Metadata of a user with several connections: of two of them, in no particular order. Default: any of the two.
    fn merge(one: Self::Meta, other: Self::Meta) -> Self::Meta {
        let _ = other;
        one
    }
}

/// What others are to hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News<M> {
    /// A user has come, or its metadata has changed.
    Here {
        /// Who.
        user: String,
        /// Its merged metadata.
        meta: M,
    },
    /// A user has been away for longer than the grace period.
    Gone {
        /// Who.
        user: String,
        /// Its metadata when it was last here.
        meta: M,
    },
}

/// What became of those who left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled<M> {
    /// What others are to hear.
    pub news: Vec<News<M>>,
    /// When to [settle](Context::settle_presence) again, in Unix milliseconds and a full second. `None`: nobody is in its grace
    /// period, and no alarm is needed.
    pub look_again_ms: Option<u64>,
}

/// A user whose last connection has closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaver<M> {
    /// Its metadata.
    pub meta: M,
    /// When that was, in Unix milliseconds.
    pub left_ms: u64,
}

/// Users with their merged metadata, of the open connections and of those who left a moment ago. Who is both is here.
pub fn roster<M: Clone>(
    open: impl IntoIterator<Item = (String, M)>,
    leavers: impl IntoIterator<Item = (String, Leaver<M>)>,
    merge: impl Fn(M, M) -> M,
) -> BTreeMap<String, M> {
    let mut roster: BTreeMap<String, M> = BTreeMap::new();
    for (user, meta) in open {
        match roster.get_mut(&user) {
            Some(other) => *other = merge(other.clone(), meta),
            None => drop(roster.insert(user, meta)),
        }
    }
    for (user, leaver) in leavers {
        roster.entry(user).or_insert(leaver.meta);
    }
    roster
}

/// What others are to hear when a user was this and is that; `None` is not here.
pub fn news<M: PartialEq>(user: String, before: Option<M>, now: Option<M>) -> Option<News<M>> {
    match (before, now) {
        (Some(before), Some(now)) if before == now => None,
        (_, Some(meta)) => Some(News::Here { user, meta }),
        (Some(meta), None) => Some(News::Gone { user, meta }),
        (None, None) => None,
    }
}

/// Whose grace period is over, and when to look at the others, in Unix milliseconds and a full second.
pub fn settle<M>(leavers: Vec<(String, Leaver<M>)>, grace: Duration, now_ms: u64) -> (Vec<(String, M)>, Option<u64>) {
    let mut gone = Vec::new();
    let mut next_ms = None;
    for (user, leaver) in leavers {
        let end_ms = after(leaver.left_ms, grace);
        if end_ms <= now_ms {
            gone.push((user, leaver.meta));
        } else {
            next_ms = Some(next_ms.map_or(end_ms, |next_ms: u64| next_ms.min(end_ms)));
        }
    }
    // Alarms of schedules come at full seconds.
    (gone, next_ms.map(full_second))
}

/// Presence: see [`presence`](self).
impl<A: Present> Context<A> {
    /// Everyone who is here, with merged metadata.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn roster(&self) -> Result<BTreeMap<String, A::Meta>, SqlError> {
        let open = self.connections().filter_map(|connection| connection.presence());
        Ok(roster(open, table::all(self.instance.shell.store())?, A::merge))
    }

    /// Takes note that a connection has become somebody, once its [`who`](Present::who) is known: on connect, or when it signs in.
    /// Returns what others are to hear: nothing if the user has other connections that say the same, or is back in its grace period.
    ///
    /// # Errors
    /// [`SqlError`], [`AttachmentError`](crate::AttachmentError).
    pub fn arrive(&self, connection: &Connection<A>) -> Result<Option<News<A::Meta>>> {
        let link = &connection.link;
        if link.flags().departed {
            link.set_flags(Flags { departed: false, ..link.flags() })?;
        }
        match A::who(connection) {
            Some((user, meta)) => Ok(self.come(user, meta, connection)?),
            None => Ok(None),
        }
    }

    /// Changes who a connection that has [arrived](Self::arrive) is, or its metadata, by what `change` does to its state.
    ///
    /// # Errors
    /// Those of `change`, upon which nothing else happens; [`SqlError`].
    pub fn change_presence<E>(
        &self,
        connection: &Connection<A>,
        change: impl FnOnce() -> Result<(), E>,
    ) -> Result<Settled<A::Meta>>
    where
        Error: From<E>,
    {
        let before = A::who(connection);
        change()?;
        match (before, A::who(connection)) {
            (Some((user, old)), Some((same, new))) if user == same => {
                let others = self.others(&user, connection);
                let before = with(others.clone(), old, A::merge);
                let now = with(others, new, A::merge);
                Ok(Settled { news: news(user, Some(before), Some(now)).into_iter().collect(), look_again_ms: None })
            }
            (before, now) => {
                let mut settled = match before {
                    Some((user, meta)) => self.go(user, meta, connection)?,
                    None => Settled { news: Vec::new(), look_again_ms: None },
                };
                if let Some((user, meta)) = now {
                    settled.news.extend(self.come(user, meta, connection)?);
                }
                Ok(settled)
            }
        }
    }

    /// Takes note that a connection is nobody any more: call it in [`on_close`](Agent::on_close), when signing out, and with a
    /// connection that is closed because nobody [lives](crate::liveness) at its other end, which may never answer. A second call
    /// does nothing.
    ///
    /// # Errors
    /// [`SqlError`]: it still is who it was, and a second call tries again.
    pub fn depart(&self, connection: &Connection<A>) -> Result<Settled<A::Meta>> {
        let nothing = Settled { news: Vec::new(), look_again_ms: None };
        if connection.link.flags().departed {
            return Ok(nothing);
        }
        let settled = match A::who(connection) {
            Some((user, meta)) => self.go(user, meta, connection)?,
            None => nothing,
        };
        // Not before: if nobody has taken note, the next call does.
        connection.link.mark_departed();
        Ok(settled)
    }

    /// Settles what has become of those who left: the work of an alarm at `look_again_ms`. Harmless at any other time.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn settle_presence(&self) -> Result<Settled<A::Meta>, SqlError> {
        let store = self.instance.shell.store();
        let now_ms = self.now_ms();
        let (gone, look_again_ms) = settle(table::all(store)?, A::GRACE, now_ms);
        // By time and not by user, so that rows which nobody can read go too.
        table::delete_until(store, now_ms.saturating_sub(millis(A::GRACE)))?;
        let is_open = |user: &str| self.open_as(user, None).is_some();
        let news = gone.into_iter().filter(|(user, _)| !is_open(user)).map(|(user, meta)| News::Gone { user, meta }).collect();
        Ok(Settled { news, look_again_ms })
    }

    fn come(&self, user: String, meta: A::Meta, connection: &Connection<A>) -> Result<Option<News<A::Meta>>, SqlError> {
        let others = self.others(&user, connection);
        let now = with(others.clone(), meta, A::merge);
        let before = match others {
            Some(others) => Some(others),
            None => {
                let leaver = table::one(self.instance.shell.store(), &user)?;
                if leaver.is_some() {
                    table::delete(self.instance.shell.store(), &user)?;
                }
                leaver.map(|leaver: Leaver<A::Meta>| leaver.meta)
            }
        };
        Ok(news(user, before, Some(now)))
    }

    fn go(&self, user: String, meta: A::Meta, connection: &Connection<A>) -> Result<Settled<A::Meta>, SqlError> {
        if let Some(others) = self.others(&user, connection) {
            let before = with(Some(others.clone()), meta, A::merge);
            let news = news(user, Some(before), Some(others));
            return Ok(Settled { news: news.into_iter().collect(), look_again_ms: None });
        }
        let leaver = Leaver { meta, left_ms: self.now_ms() };
        if A::GRACE.is_zero() || !table::insert(self.instance.shell.store(), &user, &leaver)? {
            return Ok(Settled { news: vec![News::Gone { user, meta: leaver.meta }], look_again_ms: None });
        }
        Ok(Settled { news: Vec::new(), look_again_ms: Some(full_second(after(leaver.left_ms, A::GRACE))) })
    }

    /// Metadata of a user by its connections other than this.
    fn others(&self, user: &str, connection: &Connection<A>) -> Option<A::Meta> {
        self.open_as(user, Some(connection))
    }

    fn open_as(&self, user: &str, without: Option<&Connection<A>>) -> Option<A::Meta> {
        let metas = |connection: Connection<A>| {
            let (who, meta) = connection.presence()?;
            (who == user && Some(&connection) != without).then_some(meta)
        };
        match A::tag(user) {
            Some(tag) => self.connections_tagged(&tag).filter_map(metas).reduce(A::merge),
            None => self.connections().filter_map(metas).reduce(A::merge),
        }
    }
}

impl<A: Present> Connection<A> {
    fn presence(&self) -> Option<(String, A::Meta)> {
        if self.link.flags().departed { None } else { A::who(self) }
    }
}

fn with<M>(others: Option<M>, own: M, merge: impl Fn(M, M) -> M) -> M {
    match others {
        Some(others) => merge(others, own),
        None => own,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_roster_merges_connections_and_keeps_those_who_left_a_moment_ago() {
        let open = [("ada", 1), ("bob", 2), ("ada", 3)].map(|(user, meta)| (user.to_owned(), meta));
        let leaver = |meta| Leaver { meta, left_ms: 0 };
        let leavers = [("bob".to_owned(), leaver(9)), ("cy".to_owned(), leaver(4))];
        let roster: Vec<(String, i32)> = roster(open, leavers, i32::max).into_iter().collect();
        assert_eq!(roster, [("ada".to_owned(), 3), ("bob".to_owned(), 2), ("cy".to_owned(), 4)]);
    }

    #[test]
    fn news_is_what_others_do_not_know() {
        let here = |meta| Some(News::Here { user: "ada".to_owned(), meta });
        let gone = |meta| Some(News::Gone { user: "ada".to_owned(), meta });
        for (before, now, expected) in [
            (None, None, None),
            (None, Some(1), here(1)),
            (Some(1), Some(1), None),
            (Some(1), Some(2), here(2)),
            (Some(1), None, gone(1)),
        ] {
            assert_eq!(news("ada".to_owned(), before, now), expected, "{before:?} {now:?}");
        }
    }

    #[test]
    fn a_grace_period_ends_to_the_millisecond_and_the_next_look_is_at_a_full_second() {
        let grace = Duration::from_secs(5);
        for (left_ms, now_ms, gone, next_ms) in [
            (&[][..], 9_000, &[][..], None),
            (&[1_000], 5_999, &[], Some(6_000)),
            (&[1_000], 6_000, &["0"], None),
            (&[1_001], 6_000, &[], Some(7_000)),
            (&[1_000, 3_000, 2_500], 6_500, &["0"], Some(8_000)),
            // The clock has gone back.
            (&[9_000], 1_000, &[], Some(14_000)),
        ] {
            let leavers = left_ms.iter().enumerate().map(|(index, &left_ms)| (index.to_string(), Leaver { meta: (), left_ms }));
            let (settled, next) = settle(leavers.collect(), grace, now_ms);
            let users: Vec<String> = settled.into_iter().map(|(user, ())| user).collect();
            assert_eq!(
                (users.as_slice(), next),
                (gone.iter().map(|&user| user.to_owned()).collect::<Vec<_>>().as_slice(), next_ms)
            );
        }
    }
}
