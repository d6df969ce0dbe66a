//! Stateful agents in Rust for Cloudflare Workers.
//!
//! One Durable Object for each agent name, hibernating WebSockets, state in SQLite, and the wire protocol of the JavaScript
//! Agents SDK: its clients, and plain WebSockets, work unchanged.
//!
//! ```
//! use durable_agents::prelude::*;
//!
//! /// Counts for everyone who is connected.
//! #[derive(Default)]
//! pub struct Counter;
//!
//! #[agent]
//! impl Agent for Counter {
//!     type State = u32;
//!
//!     fn initial_state(&self) -> Option<u32> {
//!         Some(0)
//!     }
//!
//!     async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
//!         if message.as_text() == Some("increment") {
//!             let count = cx.update_state(|count| {
//!                 *count += 1;
//!                 *count
//!             })?;
//!             connection.send(count.to_string())?;
//!         }
//!         Ok(())
//!     }
//! }
//! ```
//!
//! - [`Agent`] is what an author implements; [`macro@agent`] makes a class of it.
//! - [`Context`] and [`Connection`] are what its hooks can reach.
//! - [`json`] takes frames of an agent's own apart.
//! - [`limits`], [`liveness`], [`presence`] and [`resume`] are parts for agents whose connections come and go.
//! - [`macro@fetch`] makes the worker's entry point, which brings requests to agents; [`route_agent_request`] is for one's own.
//! - `allocator` (feature, on by default) is what hands out the memory of a worker's wasm, with less code than the standard library's
//!   allocator: 1.5 to 2 KB, compressed. A worker with a `#[global_allocator]` of its own turns it off with `default-features = false`.
//! - `testing` (feature `testing`) is the world in which agents run under plain `cargo test`.

#[cfg(all(target_arch = "wasm32", feature = "allocator"))]
mod allocator;
mod client;
mod digest;
mod entry;
mod marked;
mod platform;
mod router;
mod workerd;

pub use client::{AgentByName, get_agent_by_name};
pub use digest::sha256;
pub use durable_agents_core::route::{Cors, RetryError, RetryNotice, Route, RoutingRetry};
#[cfg(feature = "testing")]
pub use durable_agents_core::testing;
pub use durable_agents_core::{
    Agent, AgentOptions, AgentStub, AttachmentError, Callback, Close, Connection, ConnectionError, Context, Data, DeadLetter,
    Error, Hooks, KeepAlive, MAX_ATTACHMENT_BYTES, MAX_DEAD_LETTERS, MAX_PAYLOAD_BYTES, MAX_STATE_BYTES, MAX_TAG_BYTES,
    MAX_TAGS, Message, PanicError, Payload, PayloadError, QueueItem, Result, RetryOptions, RetryOptionsError, Run, Schedule,
    ScheduleFilter, ScheduleKind, ScheduleOptions, Source, StateError, TagError, Tags, TaskError, When, bail, close, error,
    host, http, json, limits, liveness, presence, resume, rpc, schedule, signature, sql, task,
};
pub use durable_agents_core::{INTERNAL_HEADERS, PROPS_HEADER, encode_props};
pub use durable_agents_macros::{agent, callable, callback, fetch};
pub use platform::{Platform, body_of, surroundings};
pub use router::{Before, RouteOptions, route_agent_request};
pub use workerd::random_bytes;

// The examples of the README and of the manual compile.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/schedules.md")]
struct Schedules;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/queue.md")]
struct Queue;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/calls.md")]
struct Calls;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/connections.md")]
struct Connections;

/// What `#[agent]` expands to uses these. No part of the interface.
#[doc(hidden)]
pub mod __private {
    pub use wasm_bindgen;

    pub use crate::entry::{fetch, outcome};
    pub use crate::marked::WithoutMarkedMethods;
    pub use crate::workerd::Object;
}

/// What an agent's file usually needs.
pub mod prelude {
    pub use crate::http::{Method, Request, Response, StatusCode};
    pub use crate::rpc::{CallError, Stream};
    pub use crate::task::{Callback, Run};
    pub use crate::{
        Agent, AgentOptions, Close, Connection, Context, Error, Message, Platform, Result, RetryOptions, ScheduleOptions,
        Source, When, agent, bail, callable, callback, error,
    };
}
