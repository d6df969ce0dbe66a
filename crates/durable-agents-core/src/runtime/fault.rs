//! Whose fault an error is, and so who learns what of it.

use crate::error::{AttachmentError, ConnectionError, Error, StateError};
use crate::guard::PanicError;
use crate::host::{HostError, Level};
use crate::link::Link;
use crate::rpc::{CallError, StreamError};
use crate::sql::SqlError;
use crate::tags::TagError;
use crate::task::TaskError;

/// How what a client has caused is logged. Anybody can, as often as they like, and must not fill the log of errors with it.
pub(super) const OF_CLIENTS: Level = Level::Info;

/// The platform does not say what the object is called.
#[derive(Debug, thiserror::Error)]
#[error("the object does not know its name: reach it by a name of at most 1024 bytes, not by an id made otherwise")]
pub(super) struct Nameless;

/// Whether an error's text is the platform's or a panic's rather than the author's: for the log and not for a client.
pub(super) fn is_internal(error: &Error) -> bool {
    match error.downcast_ref() {
        // The author's validation or initial state, which a setter or getter met; that may have panicked too.
        Some(StateError::Rejected(reason)) => is_internal(reason),
        Some(state_error) => matches!(state_error, StateError::Store(_)),
        None => {
            let sql_failed = matches!(error.downcast_ref(), Some(SqlError::Store(_)));
            let call_failed = error.downcast_ref().is_some_and(|error: &CallError| !error.is_public());
            let stream_failed = matches!(error.downcast_ref(), Some(StreamError::Platform(_)));
            let task_failed = matches!(error.downcast_ref(), Some(TaskError::Store(_)));
            let attachment_failed = matches!(error.downcast_ref(), Some(AttachmentError::Platform(_)));
            let socket_failed = matches!(error.downcast_ref(), Some(ConnectionError::Platform(_)));
            let connection_failed = stream_failed || attachment_failed || socket_failed;
            sql_failed || call_failed || task_failed || connection_failed || error.is::<HostError>() || error.is::<PanicError>()
        }
    }
}

/// How an error that ended an event is logged, one of `link` if there is one.
// Not a part of what every event runs through.
#[cold]
#[inline(never)]
pub(super) fn level_of(error: &Error, link: Option<&Link>) -> Level {
    let Some(link) = link else {
        // A name that is too long was made up by a client, other ids by the worker.
        return if error.is::<Nameless>() { Level::Warn } else { Level::Error };
    };
    let is_of_client = match error.downcast_ref() {
        // It has gone.
        Some(AttachmentError::Closed) => true,
        // The address by which it came leaves no room.
        Some(AttachmentError::TooLarge { limit_bytes, .. }) => link.uri().len() > limit_bytes / 2,
        Some(_) => false,
        None => {
            let has_gone = matches!(error.downcast_ref(), Some(ConnectionError::Closed));
            let may_not = matches!(error.downcast_ref(), Some(StateError::Readonly));
            // The agent's own tags are checked before the connection has them.
            let is_its_id = error.is::<TagError>() && link.tags().check().is_err();
            has_gone || may_not || is_its_id
        }
    };
    if is_of_client { OF_CLIENTS } else { Level::Error }
}

/// How it is logged that a client's state was refused.
pub(super) fn level_of_refusal(error: &StateError) -> Level {
    let is_own = match error {
        StateError::Store(_) => true,
        // The author's validation says no in words of its own, unless it has failed.
        StateError::Rejected(reason) => reason.is::<SqlError>() || is_internal(reason),
        _ => false,
    };
    if is_own { Level::Error } else { OF_CLIENTS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::error;

    #[test]
    fn words_of_the_platform_are_internal_whatever_they_are_wrapped_in() {
        let host = || HostError::new("storage is on fire");
        let words = || "socket is on fire".to_owned();
        for error in [
            Error::from(host()),
            TaskError::Store(host()).into(),
            SqlError::Store(host()).into(),
            StateError::Store(host()).into(),
            AttachmentError::Platform(words()).into(),
            ConnectionError::Platform(words()).into(),
            StreamError::Platform(words()).into(),
        ] {
            assert!(is_internal(&error), "{error}");
        }
        for error in [error!("mine"), TaskError::Destroyed.into(), ConnectionError::Closed.into(), StateError::Readonly.into()]
        {
            assert!(!is_internal(&error), "{error}");
        }
    }
}
