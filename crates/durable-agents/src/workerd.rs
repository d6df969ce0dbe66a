//! The adapter to workerd: translates between JavaScript and the core's port, and decides nothing about the protocol.

mod body;
mod cells;
mod convert;
mod crypto;
mod exchange;
pub(crate) mod glue;
mod host;
pub(crate) mod kept;
mod listen;
mod object;
mod outgoing;
mod panic;
mod socket;
mod store;
mod sys;
mod timer;
mod worker;

pub(crate) use body::{pieces, plain, with_header, with_response_headers};
pub(crate) use convert::{answer, bindings, host_error, namespace_stub};
#[cfg_attr(not(target_arch = "wasm32"), allow(unused_imports, reason = "there is no platform"))]
pub(crate) use crypto::sha256;
pub(crate) use host::{WorkerHost, fetch};
pub use object::Object;
pub(crate) use panic::install_hook;
pub(crate) use timer::sleep;
pub use worker::random_bytes;
pub(crate) use worker::{WorkerEnv, write_log};
