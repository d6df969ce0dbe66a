//! A user's worlds, in SQL. Nothing is kept in memory beside it.

use durable_agents::prelude::*;
use durable_agents::sql::SqlError;
use serde::Serialize;

use super::desk::Counts;
use super::refusal::{Code, Refusal};
use super::templates::{Persona, Template};
use super::{MAX_NAME_CHARS, WorldAgent};

/// Most worlds of one user.
pub const MAX_WORLDS: u64 = 100;

/// Messages that a world keeps. Older ones are deleted.
pub const MAX_MESSAGES: u64 = 100;

// Written when a world is made or changed; at most `MAX_WORLDS` rows of some KiB. The agents of a world are one JSON text, so that a
// world is always written as a whole.
const CREATE_WORLDS: &str = "CREATE TABLE IF NOT EXISTS world_worlds (
    name TEXT PRIMARY KEY, template TEXT NOT NULL, persistent INTEGER NOT NULL, agents TEXT NOT NULL, created_at_ms INTEGER NOT NULL
)";

// Written for every chat message; at most `MAX_MESSAGES` rows for each world. `agent` is null for what people say.
const CREATE_MESSAGES: &str = "CREATE TABLE IF NOT EXISTS world_messages (
    seq INTEGER PRIMARY KEY, world TEXT NOT NULL, id TEXT NOT NULL, sender TEXT NOT NULL, agent TEXT, content TEXT NOT NULL,
    timestamp INTEGER NOT NULL
)";

const INDEX_MESSAGES: &str = "CREATE INDEX IF NOT EXISTS world_messages_by_world ON world_messages (world, seq)";

// Written by every event that writes anything else, and when a connection closes: one row. See `Desk`.
const CREATE_STATISTICS: &str = "CREATE TABLE IF NOT EXISTS world_statistics (
    only INTEGER PRIMARY KEY CHECK (only = 0), received INTEGER NOT NULL, sent INTEGER NOT NULL, last_activity_ms INTEGER NOT NULL
)";

/// One world of a user.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct World {
    pub(super) name: String,
    pub(super) template: String,
    pub(super) persistent: bool,
    pub(super) agents: Vec<Persona>,
}

/// What clients see of a world without looking into it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Summary {
    name: String,
    template_name: String,
    persistent: bool,
    agent_count: usize,
}

/// One chat message.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Said {
    #[serde(rename = "messageId")]
    pub(super) id: String,
    pub(super) sender: String,
    /// Id of the agent that said it; people have none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) agent: Option<String>,
    pub(super) content: String,
    pub(super) timestamp: u64,
}

type Row = (String, String, bool, String);

impl World {
    /// Of a row with the columns `name, template, persistent, agents`.
    fn of((name, template, persistent, agents): Row) -> Result<Self> {
        Ok(Self { name, template, persistent, agents: serde_json::from_str(&agents)? })
    }
}

/// Makes the tables. Only for a user who is here: looking for one who never was leaves nothing behind.
pub(super) fn create(cx: &Context<WorldAgent>) -> Result<(), SqlError> {
    for sql in [CREATE_WORLDS, CREATE_MESSAGES, INDEX_MESSAGES, CREATE_STATISTICS] {
        cx.sql(sql, ()).execute()?;
    }
    Ok(())
}

/// What was read, or nothing of a user who never was here.
fn or_default<T: Default>(read: Result<T, SqlError>) -> Result<T, SqlError> {
    match read {
        Err(SqlError::Store(error)) if error.message.contains("no such table") => Ok(T::default()),
        read => read,
    }
}

/// Refuses what is no name of a world: 1 to [`MAX_NAME_CHARS`] ASCII letters, digits, `-` and `_`.
pub(super) fn checked_name(name: &str) -> Result<&str, Refusal> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if (1..=MAX_NAME_CHARS).contains(&name.len()) && name.bytes().all(is_fit) {
        return Ok(name);
    }
    let message = format!("A world's name is 1 to {MAX_NAME_CHARS} of the characters A-Z, a-z, 0-9, - and _");
    Err(Refusal::new(Code::InvalidName, message))
}

/// The world of that name, if the user has it.
pub(super) fn find(cx: &Context<WorldAgent>, name: &str) -> Result<Option<World>> {
    let select = "SELECT name, template, persistent, agents FROM world_worlds WHERE name = ?";
    let row: Option<Row> = or_default(cx.sql(select, (name,)).optional())?;
    row.map(World::of).transpose()
}

/// The world of that name.
///
/// # Errors
/// [`Refusal`] if the user has none.
pub(super) fn get(cx: &Context<WorldAgent>, name: &str) -> Result<World> {
    Ok(find(cx, checked_name(name)?)?.ok_or_else(|| Refusal::new(Code::UnknownWorld, format!("There is no world {name:?}")))?)
}

/// All worlds of the user, oldest first.
pub(super) fn list(cx: &Context<WorldAgent>) -> Result<Vec<Summary>> {
    let select = "SELECT name, template, persistent, agents FROM world_worlds ORDER BY created_at_ms, name";
    let rows: Vec<Row> = or_default(cx.sql(select, ()).all())?;
    let summary = |row| {
        let World { name, template, persistent, agents } = World::of(row)?;
        Ok(Summary { name, template_name: template, persistent, agent_count: agents.len() })
    };
    rows.into_iter().map(summary).collect()
}

/// How many worlds the user has.
pub(super) fn worlds(cx: &Context<WorldAgent>) -> Result<u64, SqlError> {
    Ok(or_default(cx.sql("SELECT count(*) FROM world_worlds", ()).optional())?.unwrap_or_default())
}

/// Whether there is nothing to clean up: worlds, and all of them persistent.
pub(super) fn is_lasting(cx: &Context<WorldAgent>) -> Result<bool, SqlError> {
    let select = "SELECT count(*) > 0 AND min(persistent) = 1 FROM world_worlds";
    Ok(or_default(cx.sql(select, ()).optional())?.unwrap_or_default())
}

/// Makes a copy of a template.
pub(super) fn clone(cx: &Context<WorldAgent>, template: &Template, name: &str, persistent: bool) -> Result<World> {
    if worlds(cx)? >= MAX_WORLDS {
        let message = format!("You have {MAX_WORLDS} worlds, and there is no room for more: select one of them");
        return Err(Refusal::new(Code::TooManyWorlds, message).into());
    }
    let world = World { name: name.to_owned(), template: template.name.to_owned(), persistent, agents: template.personas() };
    let insert = "INSERT INTO world_worlds (name, template, persistent, agents, created_at_ms) VALUES (?, ?, ?, ?, ?)";
    let agents = serde_json::to_string(&world.agents)?;
    cx.sql(insert, (name, template.name, persistent, agents, cx.now_ms())).execute()?;
    Ok(world)
}

/// Takes back a copy that has just been made, in which nothing has been said.
pub(super) fn remove(cx: &Context<WorldAgent>, name: &str) -> Result<(), SqlError> {
    cx.sql("DELETE FROM world_worlds WHERE name = ?", (name,)).execute()
}

/// Writes what has changed of a world.
pub(super) fn update(cx: &Context<WorldAgent>, world: &World) -> Result<()> {
    let agents = serde_json::to_string(&world.agents)?;
    let update = "UPDATE world_worlds SET persistent = ?, agents = ? WHERE name = ?";
    cx.sql(update, (world.persistent, agents, &world.name)).execute()?;
    Ok(())
}

/// Adds a message to a world; to one that is gone by now, nothing.
pub(super) fn say(cx: &Context<WorldAgent>, world: &str, said: &Said) -> Result<(), SqlError> {
    let insert = "INSERT INTO world_messages (world, id, sender, agent, content, timestamp)
        SELECT name, ?, ?, ?, ?, ? FROM world_worlds WHERE name = ?";
    let Said { id, sender, agent, content, timestamp } = said;
    cx.sql(insert, (id, sender, agent.as_ref(), content, *timestamp, world)).execute()?;
    let trim = "DELETE FROM world_messages WHERE world = ? AND seq <= (
        SELECT seq FROM world_messages WHERE world = ? ORDER BY seq DESC LIMIT 1 OFFSET ?)";
    cx.sql(trim, (world, world, MAX_MESSAGES)).execute()?;
    Ok(())
}

/// The newest messages of a world, newest first.
pub(super) fn newest(cx: &Context<WorldAgent>, world: &str, count: usize) -> Result<Vec<Said>, SqlError> {
    let select = "SELECT id, sender, agent, content, timestamp FROM world_messages WHERE world = ? ORDER BY seq DESC LIMIT ?";
    let rows: Vec<(String, String, Option<String>, String, u64)> = cx.sql(select, (world, count)).all()?;
    let said = |(id, sender, agent, content, timestamp)| Said { id, sender, agent, content, timestamp };
    Ok(rows.into_iter().map(said).collect())
}

/// Adds to the counts.
pub(super) fn count(cx: &Context<WorldAgent>, more: &Counts) -> Result<(), SqlError> {
    let upsert = "INSERT INTO world_statistics (only, received, sent, last_activity_ms) VALUES (0, ?, ?, ?)
        ON CONFLICT (only) DO UPDATE SET received = received + excluded.received, sent = sent + excluded.sent,
        last_activity_ms = max(last_activity_ms, excluded.last_activity_ms)";
    cx.sql(upsert, (more.received, more.sent, more.last_ms)).execute()
}

/// What has been counted and written down.
pub(super) fn counts(cx: &Context<WorldAgent>) -> Result<Counts, SqlError> {
    let select = "SELECT received, sent, last_activity_ms FROM world_statistics";
    let row: Option<(u64, u64, u64)> = or_default(cx.sql(select, ()).optional())?;
    let (received, sent, last_ms) = row.unwrap_or_default();
    Ok(Counts { received, sent, last_ms })
}

/// Deletes the worlds that are not persistent, with all that was said in them.
pub(super) fn drop_clones(cx: &Context<WorldAgent>) -> Result<(), SqlError> {
    cx.sql("DELETE FROM world_messages WHERE world IN (SELECT name FROM world_worlds WHERE persistent = 0)", ()).execute()?;
    cx.sql("DELETE FROM world_worlds WHERE persistent = 0", ()).execute()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_look_like_paths_are_no_names() {
        let longest = "x".repeat(MAX_NAME_CHARS);
        for name in ["a", "Z9", "my-world", "my_world", "-", "default-world", &longest] {
            assert_eq!(checked_name(name), Ok(name));
        }
        let too_long = format!("{longest}x");
        for name in [
            "", ".", "..", "../b", "a/b", "a\\b", "a.b", "a b", "%2e%2e", "a%00", "a\0", "ä", "а", "a:b", "a?b", "a'--",
            &too_long,
        ] {
            assert_eq!(checked_name(name).map_err(|refusal| refusal.code), Err(Code::InvalidName), "{name:?}");
        }
    }
}
