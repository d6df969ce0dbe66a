//! Who comes to which session, and when a session is forgotten.

use durable_agents::http::Url;
use durable_agents::prelude::*;
use durable_agents::resume::{Replay, Since};

use super::delivery::{reply, sockets};
use super::frames::Frame;
use super::store::{Session, Store};
use super::{MAX_SESSIONS, SESSION_AGE_MS, SessionAgent};
use crate::hex;

impl SessionAgent {
    /// The session of that id, unless it is to be forgotten.
    pub(super) fn known(&self, cx: &Context<Self>, id: &str) -> Result<Option<Session>> {
        let session = Store(cx).session(id)?;
        Ok(session.filter(|session| !self.is_forgotten(cx, session)))
    }

    /// Connects a client to its session, and tells it what it missed.
    pub(super) fn resume(&self, cx: &Context<Self>, connection: &Connection<Self>, id: &str, since: Since) -> Result<()> {
        for older in sockets(cx, id).filter(|other| other != connection) {
            // One that has gone by itself need not be told.
            let _ = older.close(4409, "Session resumed elsewhere");
        }
        Store(cx).enter(id)?;
        let Replay { frames, recovered, .. } = Store(cx).log(id).since(since)?;
        reply(cx, connection, Frame::Established { client_id: id }, None)?;
        reply(cx, connection, Frame::Resumed { session_id: id, recovered, missed: frames.len() }, None)?;
        for (_, frame) in frames {
            connection.send(frame)?;
        }
        Ok(())
    }

    /// Notes that a socket of a session has gone.
    pub(super) fn leave(&self, cx: &Context<Self>, id: &str) -> Result<()> {
        if sockets(cx, id).next().is_none() {
            Store(cx).leave(id)?;
        }
        Ok(())
    }

    /// Notes which sockets have gone without a word: silent ones, and all that a crash has cost.
    pub(super) fn miss(&self, cx: &Context<Self>) -> Result<()> {
        let attached = cx.connections().filter_map(|connection| connection.state().ok().flatten());
        let mut here: Vec<String> = attached.map(|attached| attached.session_id.clone()).collect();
        here.sort_unstable();
        for id in Store(cx).ids_present()?.into_iter().filter(|id| here.binary_search(id).is_err()) {
            Store(cx).leave(&id)?;
        }
        Ok(())
    }

    /// Forgets the sessions that nobody has come back to.
    pub(super) fn forget_old(&self, cx: &Context<Self>) -> Result<()> {
        for id in Store(cx).ids_left_by(oldest_ms(cx))?.into_iter().filter(|id| !self.runs.is_answering(id)) {
            Store(cx).remove(&id)?;
        }
        Ok(())
    }

    /// Whether there is room for another session, for which one whose client has left may have to go.
    pub(super) fn make_room(&self, cx: &Context<Self>) -> Result<bool> {
        if Store(cx).count()? < MAX_SESSIONS {
            return Ok(true);
        }
        self.forget_old(cx)?;
        if Store(cx).count()? < MAX_SESSIONS {
            return Ok(true);
        }
        match Store(cx).id_dispensable()? {
            Some(id) => Ok(Store(cx).remove(&id)?),
            None => Ok(false),
        }
    }

    fn is_forgotten(&self, cx: &Context<Self>, session: &Session) -> bool {
        session.left_at_ms.is_some_and(|left_at_ms| left_at_ms <= oldest_ms(cx)) && !self.runs.is_answering(&session.id)
    }
}

/// When a session was left that is to be forgotten now.
fn oldest_ms(cx: &Context<SessionAgent>) -> u64 {
    cx.now_ms().saturating_sub(SESSION_AGE_MS)
}

/// Id of the session that a client wants to come back to.
pub(super) fn asked_session(url: &Url) -> Option<String> {
    url.query_param("sessionId").filter(|id| !id.is_empty()).map(|id| id.into_owned())
}

/// What it says it has seen.
pub(super) fn seen(url: &Url) -> Since {
    Since::parse(url.query_param("lastSeq").as_deref())
}

/// 128 random bits in hexadecimal digits.
pub(super) fn random_id(cx: &Context<SessionAgent>) -> String {
    let mut random = [0; 16];
    cx.host().fill_random(&mut random);
    hex::digits(&random)
}
