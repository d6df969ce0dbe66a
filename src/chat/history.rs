//! The conversation beyond what is in the state: a table of older messages, and pages of both.

use durable_agents::http::Url;
use durable_agents::prelude::*;
use durable_agents::sql::{MAX_SAFE_INTEGER, Query, SqlError};
use serde::Serialize;

use super::{ChatAgent, ChatMessage};

/// Messages in the table. Older ones are deleted.
pub const MAX_IN_TABLE: u64 = 100_000;

/// How long messages stay in the table, in days. Looked after once a day.
pub const MAX_AGE_DAYS: u64 = 90;

const MAX_AGE_MS: u64 = MAX_AGE_DAYS * 24 * 60 * 60 * 1_000;

/// Messages on a page of the history, where the client does not say.
pub const DEFAULT_PAGE: usize = 50;

/// Most messages on a page of the history.
pub const MAX_PAGE: usize = 100;

// Written for each message that leaves the state, and read for the history; at most `MAX_IN_TABLE` rows. `seq` is a message's place in
// the conversation: those in the state come behind the last one here.
const CREATE: &str = "CREATE TABLE IF NOT EXISTS chat_history (
    seq INTEGER PRIMARY KEY, id TEXT NOT NULL, text TEXT NOT NULL, sender TEXT NOT NULL, timestamp INTEGER NOT NULL
)";

/// A message and its place in the conversation.
#[derive(Debug, PartialEq)]
pub(super) struct Placed {
    pub(super) seq: u64,
    pub(super) message: ChatMessage,
}

/// What a request for a page is answered with: the newest first.
#[derive(Serialize)]
pub(super) struct Page {
    messages: Vec<ChatMessage>,
    /// Where to go on from, if there are older ones.
    next: Option<String>,
}

pub(super) fn create(cx: &Context<ChatAgent>) -> Result<(), SqlError> {
    cx.sql(CREATE, ()).execute()?;
    Ok(())
}

/// Adds messages to the table, at the end.
pub(super) fn append(cx: &Context<ChatAgent>, messages: impl Iterator<Item = ChatMessage>) -> Result<(), SqlError> {
    for ChatMessage { id, text, sender, timestamp } in messages {
        let insert = "INSERT INTO chat_history (id, text, sender, timestamp) VALUES (?, ?, ?, ?)";
        cx.sql(insert, (id, text, sender, timestamp)).execute()?;
    }
    Ok(())
}

/// Deletes what was added to the table after that place.
pub(super) fn take_back(cx: &Context<ChatAgent>, last_seq: u64) -> Result<(), SqlError> {
    cx.sql("DELETE FROM chat_history WHERE seq > ?", (last_seq,)).execute()?;
    Ok(())
}

/// Deletes what is more than [`MAX_IN_TABLE`].
pub(super) fn delete_surplus(cx: &Context<ChatAgent>) -> Result<(), SqlError> {
    cx.sql("DELETE FROM chat_history WHERE seq <= ?", (last_seq(cx)?.saturating_sub(MAX_IN_TABLE),)).execute()?;
    Ok(())
}

/// Deletes what is older than [`MAX_AGE_DAYS`].
pub(super) fn delete_old(cx: &Context<ChatAgent>) -> Result<(), SqlError> {
    let oldest = cx.now_ms().saturating_sub(MAX_AGE_MS);
    // The last one stays, whatever its age: the places of the messages in the state follow from its own.
    cx.sql("DELETE FROM chat_history WHERE timestamp < ? AND seq < ?", (oldest, last_seq(cx)?)).execute()?;
    Ok(())
}

/// How many messages are in the table.
pub(super) fn len(cx: &Context<ChatAgent>) -> Result<u64, SqlError> {
    cx.sql("SELECT COUNT(*) FROM chat_history", ()).one()
}

/// Place of the newest message in the table, 0 before there was one.
pub(super) fn last_seq(cx: &Context<ChatAgent>) -> Result<u64, SqlError> {
    cx.sql("SELECT COALESCE(MAX(seq), 0) FROM chat_history", ()).one()
}

/// Reads rows with the columns `seq, id, text, sender, timestamp`.
fn placed(query: Query<'_>) -> Result<Vec<Placed>, SqlError> {
    let rows: Vec<(u64, String, String, String, u64)> = query.all()?;
    let message = |(seq, id, text, sender, timestamp)| Placed { seq, message: ChatMessage { id, text, sender, timestamp } };
    Ok(rows.into_iter().map(message).collect())
}

/// At most [`MAX_PAGE`] messages that come after that place, oldest first, of the table and of the state.
pub(super) fn after(cx: &Context<ChatAgent>, seq: u64) -> Result<Vec<Placed>> {
    let older = "SELECT seq, id, text, sender, timestamp FROM chat_history WHERE seq > ? ORDER BY seq LIMIT ?";
    let mut found = placed(cx.sql(older, (seq, MAX_PAGE)))?;
    let chat = cx.state()?;
    let in_state = (last_seq(cx)? + 1..).zip(&chat.messages).filter(|(place, _)| *place > seq);
    found.extend(in_state.take(MAX_PAGE - found.len()).map(|(seq, message)| Placed { seq, message: message.clone() }));
    Ok(found)
}

/// The page that is wanted, of the table and of the state.
pub(super) fn page(cx: &Context<ChatAgent>, asked: &Asked) -> Result<Page> {
    let chat = cx.state()?;
    // One more than asked for tells whether there are more.
    let wanted = asked.limit + 1;
    let mut found = newest_in_state(&chat.messages, last_seq(cx)?, asked.before, wanted);
    if found.len() < wanted {
        let older = "SELECT seq, id, text, sender, timestamp FROM chat_history WHERE seq < ? ORDER BY seq DESC LIMIT ?";
        found.extend(placed(cx.sql(older, (asked.before, wanted - found.len())))?);
    }
    let has_more = found.len() > asked.limit;
    found.truncate(asked.limit);
    let next = found.last().filter(|_| has_more).map(|oldest| oldest.seq.to_string());
    let messages = found.into_iter().map(|placed| placed.message).collect();
    Ok(Page { messages, next })
}

/// Up to `wanted` of the messages in the state that come before `before`, newest first; the first one follows `last_seq`.
fn newest_in_state(messages: &[ChatMessage], last_seq: u64, before: u64, wanted: usize) -> Vec<Placed> {
    let placed = (last_seq + 1..).zip(messages).filter(|(seq, _)| *seq < before);
    let newest_first = placed.collect::<Vec<_>>().into_iter().rev().take(wanted);
    newest_first.map(|(seq, message)| Placed { seq, message: message.clone() }).collect()
}

/// Which page of the history is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    before: u64,
    limit: usize,
}

impl Asked {
    pub(super) fn parse(url: &Url) -> Result<Self, String> {
        let before = match url.query_param("before") {
            None => Self::FROM_THE_END,
            Some(cursor) => number(&cursor).ok_or(r#"before must be the "next" of another page"#)?,
        };
        let limit = match url.query_param("limit") {
            None => DEFAULT_PAGE,
            Some(limit) => number(&limit)
                .and_then(|limit| usize::try_from(limit).ok())
                .filter(|limit| (1..=MAX_PAGE).contains(limit))
                .ok_or_else(|| format!("limit must be a whole number from 1 to {MAX_PAGE}"))?,
        };
        Ok(Self { before, limit })
    }

    const FROM_THE_END: u64 = MAX_SAFE_INTEGER.unsigned_abs();
}

/// Digits and nothing else: no sign, which Rust would take too.
fn number(text: &str) -> Option<u64> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    number.filter(|number| *number <= Asked::FROM_THE_END)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u64) -> ChatMessage {
        ChatMessage { id: id.to_string(), text: String::new(), sender: String::new(), timestamp: id }
    }

    #[test]
    fn a_page_is_asked_for_with_plain_numbers() {
        let page = |before, limit| Ok(Asked { before, limit });
        let wrong_limit = Err("limit must be a whole number from 1 to 100".to_owned());
        let wrong_cursor = Err(r#"before must be the "next" of another page"#.to_owned());
        for (query, expected) in [
            ("", page(Asked::FROM_THE_END, 50)),
            ("?limit=1&before=7", page(7, 1)),
            ("?limit=100", page(Asked::FROM_THE_END, 100)),
            ("?limit=007", page(Asked::FROM_THE_END, 7)),
            ("?before=9007199254740991", page(Asked::FROM_THE_END, 50)),
            ("?before=9007199254740992", wrong_cursor.clone()),
            ("?before=99999999999999999999", wrong_cursor.clone()),
            ("?before=", wrong_cursor.clone()),
            ("?before=-1", wrong_cursor.clone()),
            ("?before=%2B1", wrong_cursor.clone()),
            ("?before=null", wrong_cursor),
            ("?limit=0", wrong_limit.clone()),
            ("?limit=101", wrong_limit.clone()),
            ("?limit=-1", wrong_limit.clone()),
            ("?limit=5.0", wrong_limit.clone()),
            ("?limit=1e1", wrong_limit.clone()),
            ("?limit=all", wrong_limit.clone()),
            ("?limit=", wrong_limit),
        ] {
            assert_eq!(Asked::parse(&Url::parse(&format!("/{query}"))), expected, "{query}");
        }
    }

    #[test]
    fn messages_in_the_state_are_placed_behind_those_in_the_table() {
        let messages: Vec<_> = (11..=14).map(message).collect();
        for (before, wanted, expected) in [
            (Asked::FROM_THE_END, 9, &[14, 13, 12, 11][..]),
            (Asked::FROM_THE_END, 2, &[14, 13]),
            (13, 9, &[12, 11]),
            (11, 9, &[]),
            (0, 9, &[]),
        ] {
            let found = newest_in_state(&messages, 10, before, wanted);
            assert_eq!(found.iter().map(|placed| placed.seq).collect::<Vec<_>>(), expected, "{before} {wanted}");
            assert!(found.iter().all(|placed| placed.message.timestamp == placed.seq));
        }
    }
}
