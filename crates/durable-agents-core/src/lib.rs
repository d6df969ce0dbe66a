//! The core of Durable Agents: protocol, ordering, state and errors, without a platform.
//!
//! Authors depend on `durable-agents`, which re-exports what they need; its guide begins there. This crate has neither `worker`
//! nor `wasm-bindgen` among its dependencies, so every agent runs under plain `cargo test`, with `testing` (a feature) as its
//! world.

mod agent;
mod alarm;
mod attachment;
mod attempt;
mod brief;
pub mod close;
mod connection;
mod context;
mod dead_letter;
pub mod demand;
mod destroy;
mod eager;
mod error;
mod farewell;
mod guard;
pub mod host;
pub mod http;
mod instance;
pub mod json;
mod keep_alive;
mod lifecycle;
pub mod limits;
mod link;
pub mod liveness;
mod message;
mod meter;
mod orphans;
mod place;
pub mod presence;
mod queue;
pub mod resume;
mod retry;
pub mod route;
pub mod rpc;
mod runtime;
pub mod schedule;
mod shell;
pub mod signature;
pub mod sql;
mod state;
mod stub;
mod tags;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod wire;

pub use agent::{Agent, AgentOptions, Close, Hooks, Source};
pub use attachment::MAX_ATTACHMENT_BYTES;
pub use connection::Connection;
pub use context::Context;
pub use dead_letter::{DeadLetter, MAX_DEAD_LETTERS};
pub use eager::begin;
pub use error::{AttachmentError, ConnectionError, Error, Result, StateError, bail, error};
pub use guard::{PanicError, install_panic_hook};
pub use keep_alive::KeepAlive;
pub use message::{Data, Message, Payload};
pub use queue::QueueItem;
pub use retry::{RetryOptions, RetryOptionsError};
pub use runtime::{Reply, Rest, Runtime};
pub use schedule::{Schedule, ScheduleFilter, ScheduleKind, ScheduleOptions, When};
pub use state::MAX_STATE_BYTES;
pub use stub::{AgentStub, INTERNAL_HEADERS, PROPS_HEADER, encode_props};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, TagError, Tags};
pub use task::{Callback, MAX_PAYLOAD_BYTES, PayloadError, Run, TaskError};
