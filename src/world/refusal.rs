//! What a client is told instead of what it asked for.

use std::fmt;

use durable_agents::AttachmentError;
use durable_agents::prelude::*;
use serde::Serialize;

/// Why something was refused; clients rely on these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Code {
    Busy,
    Forbidden,
    Internal,
    InvalidField,
    InvalidMessage,
    InvalidName,
    InvalidUser,
    MethodNotAllowed,
    ModelFailed,
    NoWorldSelected,
    NotFound,
    TooLarge,
    TooManyWorlds,
    UnknownAgent,
    UnknownEvent,
    UnknownTemplate,
    UnknownType,
    UnknownWorld,
    UpgradeRequired,
}

impl Code {
    /// The status that goes with it over HTTP.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::Busy => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::ModelFailed => StatusCode::BAD_GATEWAY,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyWorlds => StatusCode::CONFLICT,
            Self::UpgradeRequired => StatusCode::UPGRADE_REQUIRED,
            Self::InvalidField
            | Self::InvalidMessage
            | Self::InvalidUser
            | Self::NoWorldSelected
            | Self::UnknownEvent
            | Self::UnknownType => StatusCode::BAD_REQUEST,
            // A name that no world can have is the name of no world.
            Self::InvalidName | Self::NotFound | Self::UnknownAgent | Self::UnknownTemplate | Self::UnknownWorld => {
                StatusCode::NOT_FOUND
            }
        }
    }
}

/// A code, and a sentence for people. Nothing has changed where one is returned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: String,
    /// The agent it is about, where only that one failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) agent: Option<String>,
}

impl Refusal {
    pub(crate) fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), agent: None }
    }

    /// What a client learns of an error: what it did wrong, or else nothing. Says whether the log should learn of it.
    pub(crate) fn of(error: &Error) -> (Self, bool) {
        if let Some(refusal) = error.downcast_ref::<Self>() {
            return (refusal.clone(), false);
        }
        if matches!(error.downcast_ref(), Some(AttachmentError::TooLarge { .. })) {
            // Nearly all of what a connection keeps is the address that it came by.
            return (Self::new(Code::TooLarge, "The connection cannot keep that: connect with a shorter URL"), false);
        }
        (Self::new(Code::Internal, "Something went wrong, try again"), true)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}
