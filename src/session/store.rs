//! What sessions leave on disk: who they are, what was said, and the frames that a client may have missed.

use durable_agents::prelude::*;
use durable_agents::resume::{ResumeLimits, ResumeLog};
use durable_agents::sql::SqlError;

use super::frames::{Project, Status};
use super::{KEPT_FRAME_AGE, MAX_EXCHANGES, MAX_HISTORY_BYTES, MAX_KEPT_BYTES, MAX_KEPT_FRAMES, SessionAgent};

// At most `MAX_SESSIONS` rows, written when a socket comes or goes and when the status changes. `left_at_ms` is NULL while there is a
// socket, `project_id` and `project_path` are before `agent:start`; `correlation_id` is that of the message being answered.
const CREATE_SESSIONS: &str = "CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY, left_at_ms INTEGER, status TEXT NOT NULL, correlation_id TEXT, project_id TEXT, project_path TEXT
) WITHOUT ROWID";

// One row for each question that was answered, written when the answer ends; bounded by `MAX_EXCHANGES` and `MAX_HISTORY_BYTES`.
// `end_bytes` is the size of all exchanges up to this one, `size_bytes` its own.
const CREATE_HISTORY: &str = "CREATE TABLE IF NOT EXISTS session_history (
    session TEXT NOT NULL, seq INTEGER NOT NULL, size_bytes INTEGER NOT NULL, end_bytes INTEGER NOT NULL,
    question TEXT NOT NULL, answer TEXT NOT NULL, PRIMARY KEY (session, seq)
) WITHOUT ROWID";

/// How much of a session's frames is kept.
const KEPT: ResumeLimits = ResumeLimits::new().max_frames(MAX_KEPT_FRAMES).max_bytes(MAX_KEPT_BYTES).max_age(KEPT_FRAME_AGE);

/// A session as it stands on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) id: String,
    /// Since when nobody has been connected.
    pub(super) left_at_ms: Option<u64>,
    pub(super) status: Status,
    /// Correlation id of the message being answered.
    pub(super) correlation_id: Option<String>,
    /// What it is about, once it has been started.
    pub(super) project: Option<Project>,
}

/// A question and what was answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Exchange {
    pub(super) question: String,
    pub(super) answer: String,
}

/// The tables, in one event of the agent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Store<'a>(pub(super) &'a Context<SessionAgent>);

impl<'a> Store<'a> {
    pub(super) fn create(self) -> Result<(), SqlError> {
        for table in [CREATE_SESSIONS, CREATE_HISTORY] {
            self.0.sql(table, ()).execute()?;
        }
        Ok(())
    }

    pub(super) fn session(self, id: &str) -> Result<Option<Session>, SqlError> {
        let row: Option<Row> = self.0.sql(&select("WHERE id = ?"), (id,)).optional()?;
        Ok(row.map(Session::of))
    }

    /// The sessions with a message being answered, as far as the disk knows.
    pub(super) fn answering(self) -> Result<Vec<Session>, SqlError> {
        let rows: Vec<Row> = self.0.sql(&select("WHERE status IN ('thinking', 'streaming')"), ()).all()?;
        Ok(rows.into_iter().map(Session::of).collect())
    }

    pub(super) fn count(self) -> Result<usize, SqlError> {
        self.0.sql("SELECT COUNT(*) FROM sessions", ()).one()
    }

    pub(super) fn ids(self) -> Result<Vec<String>, SqlError> {
        self.0.sql("SELECT id FROM sessions", ()).all()
    }

    /// Those with a socket, as far as the disk knows.
    pub(super) fn ids_present(self) -> Result<Vec<String>, SqlError> {
        self.0.sql("SELECT id FROM sessions WHERE left_at_ms IS NULL", ()).all()
    }

    /// Those that nobody has been connected to since then.
    pub(super) fn ids_left_by(self, at_ms: u64) -> Result<Vec<String>, SqlError> {
        self.0.sql("SELECT id FROM sessions WHERE left_at_ms <= ?", (at_ms,)).all()
    }

    /// The one that can be missed most: nobody is connected to it and nothing of it is being answered. Those in which nothing was said
    /// come first, and of them those that were left longest ago.
    pub(super) fn id_dispensable(self) -> Result<Option<String>, SqlError> {
        let dispensable = "SELECT id FROM sessions WHERE left_at_ms IS NOT NULL AND status NOT IN ('thinking', 'streaming')
            ORDER BY EXISTS (SELECT 1 FROM session_history WHERE session = id), left_at_ms LIMIT 1";
        self.0.sql(dispensable, ()).optional()
    }

    pub(super) fn add(self, id: &str) -> Result<(), SqlError> {
        self.0.sql("INSERT INTO sessions (id, status) VALUES (?, 'idle')", (id,)).execute()
    }

    pub(super) fn remove(self, id: &str) -> Result<bool, SqlError> {
        self.log(id).clear()?;
        self.0.sql("DELETE FROM session_history WHERE session = ?", (id,)).execute()?;
        Ok(self.0.sql("DELETE FROM sessions WHERE id = ?", (id,)).changes()? > 0)
    }

    /// Notes that there is a socket.
    pub(super) fn enter(self, id: &str) -> Result<(), SqlError> {
        self.0.sql("UPDATE sessions SET left_at_ms = NULL WHERE id = ?", (id,)).execute()
    }

    /// Notes that there is none any more.
    pub(super) fn leave(self, id: &str) -> Result<(), SqlError> {
        let update = "UPDATE sessions SET left_at_ms = ? WHERE id = ? AND left_at_ms IS NULL";
        self.0.sql(update, (self.0.now_ms(), id)).execute()
    }

    pub(super) fn set_status(self, id: &str, status: Status, correlation_id: Option<&str>) -> Result<(), SqlError> {
        let update = "UPDATE sessions SET status = ?, correlation_id = ? WHERE id = ?";
        self.0.sql(update, (status.name(), correlation_id.filter(|_| status.is_busy()), id)).execute()
    }

    /// Begins the session anew: about `project`, with nothing said.
    pub(super) fn restart(self, id: &str, project: &Project) -> Result<(), SqlError> {
        let update =
            "UPDATE sessions SET project_id = ?, project_path = ?, status = 'idle', correlation_id = NULL WHERE id = ?";
        self.0.sql(update, (&project.project_id, &project.project_path, id)).execute()?;
        self.0.sql("DELETE FROM session_history WHERE session = ?", (id,)).execute()
    }

    /// What has been said, oldest first.
    pub(super) fn history(self, id: &str) -> Result<Vec<Exchange>, SqlError> {
        let select = "SELECT question, answer FROM session_history WHERE session = ? ORDER BY seq";
        let rows: Vec<(String, String)> = self.0.sql(select, (id,)).all()?;
        Ok(rows.into_iter().map(|(question, answer)| Exchange { question, answer }).collect())
    }

    /// Adds to what has been said, and forgets the oldest of it where it becomes too much.
    pub(super) fn remember(self, id: &str, exchange: &Exchange) -> Result<(), SqlError> {
        let Exchange { question, answer } = exchange;
        let size_bytes = question.len() + answer.len();
        let newest = "SELECT seq, end_bytes FROM session_history WHERE session = ? ORDER BY seq DESC LIMIT 1";
        let (seq, end_bytes): (u64, u64) = self.0.sql(newest, (id,)).optional()?.unwrap_or_default();
        let (seq, end_bytes) = (seq + 1, end_bytes + u64::try_from(size_bytes).unwrap_or(u64::MAX));
        let insert =
            "INSERT INTO session_history (session, seq, size_bytes, end_bytes, question, answer) VALUES (?, ?, ?, ?, ?, ?)";
        self.0.sql(insert, (id, seq, size_bytes, end_bytes, question, answer)).execute()?;
        let forget = "DELETE FROM session_history WHERE session = ? AND seq < ? AND (seq <= ? OR end_bytes - size_bytes < ?)";
        let (too_old_seq, oldest_bytes) = (seq.saturating_sub(MAX_EXCHANGES), end_bytes.saturating_sub(MAX_HISTORY_BYTES));
        self.0.sql(forget, (id, seq, too_old_seq, oldest_bytes)).execute()
    }

    /// The frames that its client may have missed.
    pub(super) fn log(self, id: &'a str) -> ResumeLog<'a> {
        ResumeLog::new(self.0, id, KEPT)
    }
}

type Row = (String, Option<u64>, Status, Option<String>, Option<String>, Option<String>);

/// Rows of sessions, for [`Session::of`].
fn select(which: &str) -> String {
    format!("SELECT id, left_at_ms, status, correlation_id, project_id, project_path FROM sessions {which}")
}

impl Session {
    fn of((id, left_at_ms, status, correlation_id, project_id, project_path): Row) -> Self {
        let project = project_id.zip(project_path).map(|(project_id, project_path)| Project { project_id, project_path });
        Self { id, left_at_ms, status, correlation_id, project }
    }
}
