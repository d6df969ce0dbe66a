//! The adapter to workerd: translates between JavaScript and the core's port, and decides nothing about the protocol.

mod body;
mod convert;
mod host;
mod listen;
mod object;
mod panic;
mod socket;
mod store;
mod sys;
mod timer;

pub(crate) use convert::{binding_names, host_error, namespace_stub};
pub(crate) use host::{WorkerHost, fetch, fill_random, write_log};
pub use object::Object;
pub(crate) use panic::install_hook;
pub(crate) use timer::sleep;
