//! Counter: what survives hibernation and what does not.
//!
//! Route `/agents/counter/:name`; with `?protocol=false` no `cf_agent_*` frame is sent.
//!
//! State: `{"count"}`, which survives everything. Beside it a plain field of the struct counts the increments since the object was last
//! loaded into memory: it is 0 again after hibernation, eviction and deploy.
//!
//! | Client sends | Effect |
//! |---|---|
//! | text `increment` | adds 1, then answers `{"type":"count","count","sinceWake"}` |
//! | text `get` | answers the same, changes nothing |
//! | call `increment()` | adds 1, returns the count; at 2⁵³ − 1 it fails with `The counter is full` |
//! | call `get()` | returns the count |
//! | `cf_agent_state` `{"count"}` | sets the count, if it is a whole number from 0 to 2⁵³ − 1 |
//! | text `increment` at 2⁵³ − 1 | `{"type":"error","message":"The counter is full"}` |
//! | anything else | `{"type":"error","message":"Unknown command: send increment or get"}` |
//!
//! Every change reaches everybody: protocol connections by `cf_agent_state`, the others by the frame `count`.

use std::cell::Cell;

use durable_agents::prelude::*;
use durable_agents::sql::MAX_SAFE_INTEGER;
use serde::{Deserialize, Serialize};

/// See the [module](self).
#[derive(Debug, Default)]
pub struct Counter {
    // Memory only. What must survive is in the state.
    since_wake: Cell<u64>,
}

/// What survives.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Increments so far.
    pub count: i64,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum Reply {
    Count { count: i64, since_wake: u64 },
    Error { message: &'static str },
}

/// What clients are told when there is no next number.
const FULL: &str = "The counter is full";

#[agent]
impl Counter {
    /// Adds 1 and returns the count.
    #[callable]
    fn increment(&self, cx: &Context<Self>) -> Result<i64> {
        if cx.state()?.count >= MAX_SAFE_INTEGER {
            bail!(FULL);
        }
        let before = self.since_wake.get();
        // Before the change, which is reported as soon as it is made; taken back if it is not made.
        self.since_wake.set(before + 1);
        let changed = cx.update_state(|state| {
            state.count += 1;
            state.count
        });
        if changed.is_err() {
            self.since_wake.set(before);
        }
        Ok(changed?)
    }

    /// Returns the count.
    #[callable]
    fn get(&self, cx: &Context<Self>) -> Result<i64> {
        Ok(cx.state()?.count)
    }

    fn reply(&self, state: &Count) -> Reply {
        Reply::Count { count: state.count, since_wake: self.since_wake.get() }
    }
}

#[agent]
impl Agent for Counter {
    type State = Count;

    // The default, said aloud because it is what this agent is about. With `false` the object, its plain fields and the bill would
    // last as long as a socket is open, and an eviction would close every socket.
    const OPTIONS: AgentOptions = AgentOptions::new().hibernate(true);

    fn initial_state(&self) -> Option<Count> {
        Some(Count::default())
    }

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        // The initial state is set when it is first looked at, and is a change like any other. Nobody is here yet to be told of it.
        cx.state()?;
        Ok(())
    }

    fn validate_state_change(&self, _: &Context<Self>, next: &Count, _: &Source<Self>) -> Result<()> {
        // Beyond that, a client's JavaScript would round it.
        if !(0..=MAX_SAFE_INTEGER).contains(&next.count) {
            bail!("count must be from 0 to {MAX_SAFE_INTEGER}");
        }
        Ok(())
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() != Some("false"))
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        match message.as_text() {
            Some("increment") if cx.state()?.count >= MAX_SAFE_INTEGER => {
                connection.send_json(&Reply::Error { message: FULL })?;
            }
            Some("increment") => {
                self.increment(cx)?;
                // The others have been told already, by `on_state_changed`.
                if connection.is_protocol_enabled() {
                    connection.send_json(&self.reply(&*cx.state()?))?;
                }
            }
            Some("get") => connection.send_json(&self.reply(&*cx.state()?))?,
            _ => connection.send_json(&Reply::Error { message: "Unknown command: send increment or get" })?,
        }
        Ok(())
    }

    async fn on_state_changed(&self, cx: &Context<Self>, state: &Count, _: &Source<Self>) -> Result<()> {
        let reply = serde_json::to_string(&self.reply(state))?;
        for connection in cx.connections().filter(|connection| !connection.is_protocol_enabled()) {
            // One that has just left need not know.
            let _ = connection.send(&reply);
        }
        Ok(())
    }
}
