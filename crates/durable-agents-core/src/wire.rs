//! Text on the wire and the frames in it. Names that go over the wire are spelled in these modules and nowhere else.

pub(crate) mod client;
pub(crate) mod server;

/// A state, in either direction.
pub(crate) const STATE: &str = "cf_agent_state";
/// A call, and an answer to one.
pub(crate) const RPC: &str = "rpc";
