//! The core of Durable Agents: protocol, ordering, state and errors, without a platform.
//!
//! Authors depend on `durable-agents`, which re-exports what they need; its guide begins there. This crate has neither `worker`
//! nor `wasm-bindgen` among its dependencies, so every agent runs under plain `cargo test`, with `testing` (a feature) as its
//! world.

mod agent;
mod attachment;
pub mod close;
mod connection;
mod context;
mod eager;
mod error;
mod guard;
pub mod host;
pub mod http;
mod instance;
mod lifecycle;
mod link;
mod message;
pub mod route;
pub mod rpc;
mod runtime;
mod shell;
pub mod sql;
mod state;
mod stub;
mod tags;
pub mod task;
#[cfg(feature = "testing")]
pub mod testing;
mod wire;

pub use agent::{Agent, AgentOptions, Close, Hooks, Source};
pub use attachment::MAX_ATTACHMENT_BYTES;
pub use connection::Connection;
pub use context::Context;
pub use eager::begin;
pub use error::{AttachmentError, ConnectionError, Error, Result, StateError, bail, error};
pub use guard::{PanicError, install_panic_hook};
pub use message::{Data, Message, Payload};
pub use runtime::{Reply, Runtime};
pub use state::MAX_STATE_BYTES;
pub use stub::{AgentStub, INTERNAL_HEADERS, PROPS_HEADER, encode_props};
pub use tags::{MAX_TAG_BYTES, MAX_TAGS, TagError, Tags};
