//! Text on the wire and the frames in it. Every name that goes over the wire is spelled here and nowhere else.

pub(crate) mod client;
pub(crate) mod server;

pub(crate) const IDENTITY: &str = "cf_agent_identity";
pub(crate) const STATE: &str = "cf_agent_state";
pub(crate) const STATE_ERROR: &str = "cf_agent_state_error";
pub(crate) const RPC: &str = "rpc";

// Additions to the protocol, for clients that ask for them.
pub(crate) const RESUMED: &str = "da_resumed";
pub(crate) const LOGGED: &str = "da_frame";
