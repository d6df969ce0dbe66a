//! What hooks return, and what clients see of it.

pub use anyhow::{Error, Result, anyhow as error, bail};

use crate::close::CloseError;
use crate::host::{HostError, SocketError};

/// What a client is told when a request handler, or the start before it, failed. Details are in the log.
pub(crate) const REQUEST_FAILED: &str = "Internal Server Error";

/// What a client is told when its connection could not be set up for a reason that is none of its business.
pub(crate) const CONNECT_FAILED: &str = "Internal error during connection setup";

/// Why the state is what it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateError {
    /// Nothing was set and the agent has no initial state.
    #[error("agent has no state yet")]
    Unset,
    /// The event belongs to a readonly connection.
    #[error("Connection is readonly")]
    Readonly,
    /// [`validate_state_change`](crate::Agent::validate_state_change) refused it; its words.
    #[error("{0}")]
    Rejected(Error),
    /// The JSON is larger than one row may be.
    #[error("state is {size_bytes} bytes of JSON, limit is {limit_bytes}")]
    TooLarge {
        /// Size of the state, in bytes of JSON.
        size_bytes: usize,
        /// What a row may hold.
        limit_bytes: usize,
    },
    /// It cannot be written as JSON, or what a client sent does not fit the type; names the path of the field.
    #[error("state does not fit its type: {0}")]
    Shape(String),
    /// Storage failed; memory still agrees with it.
    #[error("state could not be stored: {0}")]
    Store(#[from] HostError),
}

/// Why a connection's state or flags are what they were.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// It would not fit beside the connection's id, tags and URL.
    #[error("connection needs {size_bytes} bytes of attachment, limit is {limit_bytes}")]
    TooLarge {
        /// What id, tags, URL and state need together.
        size_bytes: usize,
        /// What the platform stores for a socket.
        limit_bytes: usize,
    },
    /// It cannot be written as JSON, or what is stored does not fit the type.
    #[error("connection state does not fit its type: {0}")]
    Shape(String),
    /// The connection is gone, and its state with it.
    #[error("connection is closed")]
    Closed,
    /// The platform refused for a reason of its own.
    #[error("attachment could not be stored: {0}")]
    Platform(String),
}

impl From<SocketError> for AttachmentError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Closed => Self::Closed,
            SocketError::Platform(message) => Self::Platform(message),
        }
    }
}

/// Why a message was not sent or a connection not closed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The peer has gone, one side has begun to close, or the socket is not accepted yet.
    #[error("connection is closed")]
    Closed,
    /// The value cannot be written as JSON.
    #[error("message cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// The close code or reason is not allowed.
    #[error(transparent)]
    Close(#[from] CloseError),
    /// The platform refused for a reason of its own.
    #[error("socket failed: {0}")]
    Platform(String),
}

impl From<SocketError> for ConnectionError {
    fn from(error: SocketError) -> Self {
        match error {
            SocketError::Closed => Self::Closed,
            SocketError::Platform(message) => Self::Platform(message),
        }
    }
}
