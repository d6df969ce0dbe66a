//! The log of one key: what is in it, and what of it somebody has missed.

use std::borrow::Cow;
use std::fmt;

use super::ResumeLimits;
use super::span::{Interest, Mark, Span};
use crate::agent::Agent;
use crate::context::Context;
use crate::host::SqlValue;
use crate::message::{Data, Message, Payload};
use crate::shell::Shell;
use crate::sql::cells::Cells;
use crate::sql::{MAX_VALUE_BYTES, SqlError, lazy};
use crate::time::millis;

// One row for each frame, written once and deleted once; as many as the limits of its log allow, and the newest, which carries
// the numbering. `start_bytes` is what all earlier frames took together, so that the size of any part is a subtraction. Row 0 of a
// log, if it is there, is no frame but holds the epoch, and in `at_ms` since when nobody resumes; 0 while somebody does. It is written
// when that changes, as far as connects and frames notice.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS cf_resume_log \
    (log TEXT NOT NULL, seq INTEGER NOT NULL, at_ms INTEGER NOT NULL, start_bytes INTEGER NOT NULL, frame, \
    PRIMARY KEY (log, seq)) WITHOUT ROWID";

/// What a row takes beside its frame, generously: a frame over [`MAX_VALUE_BYTES`] less this is not kept.
const ROW_BYTES: usize = 4_096;

/// Outgoing frames under one key, numbered from 1, in SQLite: for a client that comes back and wants what it has missed.
///
/// A handle that costs nothing to make; what it knows is in the database, so it may be made anew for each event.
///
/// A frame takes one statement, and a second one where others have to go for it; the first after a wake asks for its number as well.
///
/// ```
/// use durable_agents_core::resume::{ResumeLimits, ResumeLog, Since};
/// # use durable_agents_core::http::Request;
/// # use durable_agents_core::{Agent, Connection, Context, Message, Result};
/// # struct Session;
/// # impl Agent for Session {
/// #   type State = ();
/// #   type ConnectionState = ();
/// #   type Props = ();
/// #   const CLASS: &'static str = "Session";
/// #   fn new(_: &Context<Self>) -> Self { Self }
/// # }
/// const LIMITS: ResumeLimits = ResumeLimits::new().max_frames(500);
///
/// fn tell(cx: &Context<Session>, session: &str, content: &str) -> Result<()> {
///     let logged = ResumeLog::new(cx, session, LIMITS).append(|seq| format!(r#"{{"seq":{seq},"content":"{content}"}}"#))?;
///     for connection in cx.connections_tagged(session) {
///         connection.send(&logged.frame)?;
///     }
///     Ok(())
/// }
///
/// fn resume(cx: &Context<Session>, session: &str, connection: &Connection<Session>, request: &Request) -> Result<()> {
///     let since = Since::parse(request.url().query_param("lastSeq").as_deref());
///     let replay = ResumeLog::new(cx, session, LIMITS).since(since)?;
///     connection.send(format!(r#"{{"recovered":{},"missed":{}}}"#, replay.recovered, replay.frames.len()))?;
///     for (_, frame) in replay.frames {
///         connection.send(frame)?;
///     }
///     Ok(())
/// }
/// ```
pub struct ResumeLog<'a> {
    shell: &'a Shell,
    key: Cow<'a, str>,
    limits: ResumeLimits,
}

/// A frame that is in the log and may be sent now.
#[derive(Debug)]
pub struct Logged<F> {
    /// Its number.
    pub seq: u64,
    /// The frame.
    pub frame: F,
}

/// What a client has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// Nothing: it wants all that is kept.
    Beginning,
    /// Everything up to the frame of that number.
    Seq(u64),
    /// Something that is not in this log: it gets all that is kept, and has not recovered.
    Unknown,
}

impl Since {
    /// Reads a query parameter: without one from the beginning, and [`Unknown`](Self::Unknown) if it is no number.
    pub fn parse(param: Option<&str>) -> Self {
        match param.map(str::parse) {
            None => Self::Beginning,
            Some(Ok(seq)) => Self::Seq(seq),
            Some(Err(_)) => Self::Unknown,
        }
    }
}

/// What a client has missed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The frames to send again with their numbers, oldest first.
    pub frames: Vec<(u64, Message)>,
    /// How many more it has missed that are not kept any more.
    pub lost: u64,
    /// Whether it has everything once it has these frames.
    pub recovered: bool,
    /// Number of the newest frame, kept or not; 0 if there never was one.
    pub newest_seq: u64,
}

impl<'a> ResumeLog<'a> {
    /// The log of that key. Nothing is read or written before it is used.
    pub fn new<A: Agent>(cx: &'a Context<A>, key: impl Into<Cow<'a, str>>, limits: ResumeLimits) -> Self {
        Self { shell: &cx.instance.shell, key: key.into(), limits }
    }

    /// Writes a frame, which `make` builds from its number, and deletes what is over the limits now. Send it afterwards: what a
    /// client has seen is in the log then, whatever happens. If only the deletion fails, that is logged, and the next frame makes up
    /// for it.
    ///
    /// A frame that is itself over the limits, or over what a row can hold, gets a number and is not kept: whoever misses it has
    /// not recovered.
    ///
    /// # Errors
    /// [`SqlError`]: nothing was written, and the number is still free.
    pub fn append<F>(&self, make: impl FnOnce(u64) -> F) -> Result<Logged<F>, SqlError>
    where
        for<'p> &'p F: Into<Payload<'p>>,
    {
        let before = self.span()?;
        let seq = before.map_or(0, |span| span.newest.seq) + 1;
        let start_bytes = before.map_or(0, |span| span.end_bytes);
        let frame = make(seq);
        let payload: Payload<'_> = (&frame).into();
        let (size_bytes, value) = match payload.data() {
            Data::Text(text) => (text.len(), SqlValue::Text(text.clone().into_owned())),
            Data::Binary(bytes) => (bytes.len(), SqlValue::Blob(bytes.clone().into_owned())),
        };
        let is_kept = size_bytes <= self.limits.max_bytes.min(MAX_VALUE_BYTES - ROW_BYTES);
        let (size_bytes, value) = if is_kept { (size_bytes, value) } else { (0, SqlValue::Null) };
        drop(payload);
        let newest = Mark { seq, start_bytes, at_ms: self.shell.host.now_ms() };
        let end_bytes = start_bytes.saturating_add(u64::try_from(size_bytes).unwrap_or(u64::MAX));
        let oldest = before.map_or(newest, |span| span.oldest);
        // If one of the statements fails, the next frame asks the database.
        self.shell.spans.forget(&self.key);
        self.insert(newest, value)?;
        self.trim_or_log(Span { oldest, newest, end_bytes });
        Ok(Logged { seq, frame })
    }

    /// What a client that has seen this much has missed. A number above the newest is [`Since::Unknown`].
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn since(&self, since: Since) -> Result<Replay, SqlError> {
        let newest_seq = self.newest_seq()?;
        let (from, is_known) = match since {
            Since::Beginning => (0, true),
            Since::Seq(seq) if seq <= newest_seq => (seq, true),
            Since::Seq(_) | Since::Unknown => (0, false),
        };
        let sql = "SELECT seq, frame FROM cf_resume_log \
            WHERE log = ? AND seq > ? AND at_ms >= ? AND frame IS NOT NULL ORDER BY seq";
        let rows = self.read(sql, vec![self.key(), from.into(), self.oldest_ms().into()])?;
        let frames: Vec<(u64, Message)> = rows.into_iter().filter_map(frame_of_row).collect();
        let kept = u64::try_from(frames.len()).unwrap_or(u64::MAX);
        let lost = (newest_seq - from).saturating_sub(kept);
        Ok(Replay { frames, lost, recovered: is_known && lost == 0, newest_seq })
    }

    /// Number of the newest frame, kept or not; 0 if there never was one.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn newest_seq(&self) -> Result<u64, SqlError> {
        Ok(self.span()?.map_or(0, |span| span.newest.seq))
    }

    /// Deletes what has become too old. [`append`](Self::append) does it too, and [`since`](Self::since) leaves it out; this is for
    /// an agent that wants its storage back when nothing is appended any more.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn prune(&self) -> Result<(), SqlError> {
        let Some(span) = self.span()? else { return Ok(()) };
        self.shell.spans.forget(&self.key);
        self.trim(span)?;
        // The newest row stays for its number, without its frame.
        let sql = "UPDATE cf_resume_log SET frame = NULL WHERE log = ? AND seq = ? AND at_ms < ? AND frame IS NOT NULL";
        self.run(sql, vec![self.key(), span.newest.seq.into(), self.oldest_ms().into()])
    }

    /// Deletes all of it. The next frame is number 1 again, of another epoch.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn clear(&self) -> Result<(), SqlError> {
        self.shell.spans.forget(&self.key);
        self.shell.spans.forget_interest(&self.key);
        self.read("DELETE FROM cf_resume_log WHERE log = ?", vec![self.key()])?;
        self.shell.spans.keep_interest(&self.key, Interest::Never);
        Ok(())
    }

    /// Random text that stands for this numbering: another one follows when the log is [cleared](Self::clear). For keys that a
    /// client could know from before; an unguessable key that is not used again needs none.
    ///
    /// # Errors
    /// [`SqlError`].
    pub fn epoch(&self) -> Result<String, SqlError> {
        let rows = self.read("SELECT frame FROM cf_resume_log WHERE log = ? AND seq = 0", vec![self.key()])?;
        if let Some(epoch) = rows.into_iter().next().and_then(|row| Cells::new(row).text()) {
            return Ok(epoch);
        }
        let mut random = [0; 8];
        self.shell.host.fill_random(&mut random);
        let epoch = format!("{:016x}", u64::from_be_bytes(random));
        self.shell.spans.forget_interest(&self.key);
        self.insert(Mark { seq: 0, start_bytes: 0, at_ms: 0 }, SqlValue::Text(epoch.clone()))?;
        self.shell.spans.keep_interest(&self.key, Interest::Present);
        Ok(epoch)
    }

    /// Whether anybody wants what is in it, as far as [`note`](Self::note) was told.
    pub(super) fn interest(&self) -> Result<Interest, SqlError> {
        if let Some(known) = self.shell.spans.interest(&self.key) {
            return Ok(known);
        }
        let rows = self.read("SELECT at_ms FROM cf_resume_log WHERE log = ? AND seq = 0", vec![self.key()])?;
        let interest = match rows.into_iter().next().and_then(|row| Cells::new(row).count()) {
            None => Interest::Never,
            Some(0) => Interest::Present,
            Some(since_ms) => Interest::AloneSince(since_ms),
        };
        self.shell.spans.keep_interest(&self.key, interest);
        Ok(interest)
    }

    /// Notes whether anybody resumes, if that is news; there is an epoch.
    pub(super) fn note(&self, interest: Interest) -> Result<(), SqlError> {
        if self.interest()? == interest {
            return Ok(());
        }
        let since_ms = if let Interest::AloneSince(since_ms) = interest { since_ms } else { 0 };
        self.shell.spans.forget_interest(&self.key);
        self.run("UPDATE cf_resume_log SET at_ms = ? WHERE log = ? AND seq = 0", vec![since_ms.into(), self.key()])?;
        self.shell.spans.keep_interest(&self.key, interest);
        Ok(())
    }

    fn key(&self) -> SqlValue {
        (&*self.key).into()
    }

    fn oldest_ms(&self) -> u64 {
        self.shell.host.now_ms().saturating_sub(millis(self.limits.max_age))
    }

    /// What there is in it: from memory, or else from the database. `None`: no frame was ever appended.
    fn span(&self) -> Result<Option<Span>, SqlError> {
        if let Some(known) = self.shell.spans.get(&self.key) {
            return Ok(Some(known));
        }
        let sql = "SELECT oldest.seq, oldest.start_bytes, oldest.at_ms, newest.seq, newest.start_bytes, newest.at_ms, \
            newest.start_bytes + coalesce(length(CAST(newest.frame AS BLOB)), 0) \
            FROM (SELECT * FROM cf_resume_log WHERE log = ?1 AND seq > 0 ORDER BY seq LIMIT 1) AS oldest, \
            (SELECT * FROM cf_resume_log WHERE log = ?1 AND seq > 0 ORDER BY seq DESC LIMIT 1) AS newest";
        let rows = self.read(sql, vec![self.key()])?;
        let span = rows.into_iter().next().and_then(|row| {
            let mut cells = Cells::new(row);
            let mut mark = || Some(Mark { seq: cells.count()?, start_bytes: cells.count()?, at_ms: cells.count()? });
            let (oldest, newest) = (mark()?, mark()?);
            Some(Span { oldest, newest, end_bytes: cells.count()? })
        });
        if let Some(span) = span {
            self.shell.spans.keep(&self.key, span);
        }
        Ok(span)
    }

    fn insert(&self, mark: Mark, frame: SqlValue) -> Result<(), SqlError> {
        let sql = "INSERT INTO cf_resume_log (log, seq, at_ms, start_bytes, frame) VALUES (?, ?, ?, ?, ?)";
        let params = [self.key(), mark.seq.into(), mark.at_ms.into(), mark.start_bytes.into(), frame];
        lazy::write(self.shell.store(), CREATE, sql, &params)?;
        Ok(())
    }

    /// After a frame, which is stored and must be sent: what is left over the limits is no reason to say that it is not.
    fn trim_or_log(&self, span: Span) {
        match self.trim(span) {
            Ok(Some(span)) => self.shell.spans.keep(&self.key, span),
            Ok(None) => {}
            Err(error) => self.shell.log_failure("trim resume log", None, &error.into()),
        }
    }

    /// Deletes what is over the limits, if anything can be, and returns what is left. `None`: that is not known any more.
    ///
    /// Count, bytes and age all grow from the newest frame to the oldest: the first one within all of them is the oldest to keep,
    /// and finding it reads no more rows than are deleted, and one. The newest is always kept, for its number.
    fn trim(&self, span: Span) -> Result<Option<Span>, SqlError> {
        let max_bytes = u64::try_from(self.limits.max_bytes).unwrap_or(u64::MAX);
        let least = Mark {
            seq: (span.newest.seq + 1).saturating_sub(self.limits.max_frames).max(1),
            start_bytes: span.end_bytes.saturating_sub(max_bytes),
            at_ms: self.oldest_ms(),
        };
        if span.oldest.seq >= span.newest.seq || span.oldest.is_within(&least) {
            return Ok(Some(span));
        }
        let sql = "DELETE FROM cf_resume_log WHERE log = ?1 AND seq > 0 AND seq < coalesce((SELECT seq FROM cf_resume_log \
            WHERE log = ?1 AND seq >= ?2 AND start_bytes >= ?3 AND at_ms >= ?4 ORDER BY seq LIMIT 1), ?5) \
            RETURNING seq, start_bytes + coalesce(length(CAST(frame AS BLOB)), 0), at_ms";
        let params = [self.key(), least.seq.into(), least.start_bytes.into(), least.at_ms.into(), span.newest.seq.into()];
        let deleted = self.shell.store().run(sql, &params)?.rows.into_iter().filter_map(|row| {
            let mut cells = Cells::new(row);
            let (seq, end_bytes, at_ms) = (cells.count()?, cells.count()?, cells.count()?);
            Some(Mark { seq: seq + 1, start_bytes: end_bytes, at_ms: at_ms.max(least.at_ms) })
        });
        let oldest = deleted.max_by_key(|mark| mark.seq);
        Ok(oldest.map(|oldest| Span { oldest: if oldest.seq < span.newest.seq { oldest } else { span.newest }, ..span }))
    }

    fn run(&self, sql: &str, params: Vec<SqlValue>) -> Result<(), SqlError> {
        self.shell.store().run(sql, &params)?;
        Ok(())
    }

    /// A log that was never written to has not even the table.
    fn read(&self, sql: &str, params: Vec<SqlValue>) -> Result<Vec<Vec<SqlValue>>, SqlError> {
        Ok(lazy::run(self.shell.store(), sql, &params)?.rows)
    }
}

impl fmt::Debug for ResumeLog<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key may be a secret.
        f.debug_struct("ResumeLog").field("limits", &self.limits).finish_non_exhaustive()
    }
}

fn frame_of_row(row: Vec<SqlValue>) -> Option<(u64, Message)> {
    let mut cells = Cells::new(row);
    let seq = cells.count()?;
    match cells.next()? {
        SqlValue::Text(text) => Some((seq, Message::Text(text))),
        SqlValue::Blob(bytes) => Some((seq, Message::Binary(bytes))),
        SqlValue::Null | SqlValue::Integer(_) | SqlValue::Real(_) => None,
    }
}
