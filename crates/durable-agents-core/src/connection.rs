//! A connection, as an agent sees it.

use std::fmt;
use std::rc::Rc;

use serde::Serialize;

use crate::agent::Agent;
use crate::attachment::Flags;
use crate::error::{AttachmentError, ConnectionError};
use crate::instance::Instance;
use crate::json;
use crate::link::Link;
use crate::message::{Message, Payload};
use crate::wire::client::ClientFrame;
use crate::wire::{client, server};

/// One client's WebSocket.
///
/// A handle: copies agree with each other, and with what [`Context::connection`](crate::Context::connection) finds. It may be kept
/// in the agent's memory; once the socket has closed, sending is an error and the state stays readable.
pub struct Connection<A: Agent> {
    pub(crate) link: Rc<Link>,
    pub(crate) instance: Rc<Instance<A>>,
}

impl<A: Agent> Connection<A> {
    /// Its id: what the client chose as `_pk`, or 21 random characters. A client keeps its id over reconnects, so for a while two
    /// connections may share one.
    ///
    /// It proves nothing: any client may choose any id, that of another too once it knows it, and one that is a tag of the agent's. Who
    /// somebody is belongs into the connection's [state](Self::state), from what has been checked, a token for instance.
    pub fn id(&self) -> &str {
        self.link.id()
    }

    /// Name of the agent instance.
    pub fn server(&self) -> &str {
        self.instance.shell.name()
    }

    /// The complete URL it connected to. May hold tokens: not for the log.
    pub fn uri(&self) -> &str {
        self.link.uri()
    }

    /// Its tags: the id, then the agent's in their order.
    pub fn tags(&self) -> Vec<String> {
        self.link.tags().as_slice().to_vec()
    }

    /// Its state, or `None` if none was set.
    ///
    /// # Errors
    /// [`AttachmentError::Shape`]: what an earlier version of the agent stored does not fit the type.
    pub fn state(&self) -> Result<Option<Rc<A::ConnectionState>>, AttachmentError> {
        if let Some(typed) = self.link.typed_state().and_then(|typed| typed.downcast().ok()) {
            return Ok(Some(typed));
        }
        let read = self.link.with_state(|json| json.map(json::read::<A::ConnectionState>).transpose());
        let Some(state) = read.map_err(|error| AttachmentError::Shape(error.to_string()))? else { return Ok(None) };
        let state = Rc::new(state);
        self.link.set_typed_state(Rc::clone(&state) as _);
        Ok(Some(state))
    }

    /// Replaces its state and stores it in the socket's attachment, where it survives hibernation until the socket closes.
    ///
    /// The attachment is written when the hook ends or waits, once for all that has changed: hibernation cannot come between.
    ///
    /// # Errors
    /// - [`AttachmentError::TooLarge`]: nothing is written, the old state stays.
    /// - [`AttachmentError::Closed`]: the connection has ended.
    pub fn set_state(&self, state: A::ConnectionState) -> Result<(), AttachmentError> {
        let json = serde_json::to_string(&state).map_err(|error| AttachmentError::Shape(error.to_string()))?;
        self.link.set_state(Some(json), Some(Rc::new(state)))
    }

    /// Replaces its state by what `update` makes of it; the first time of `None`.
    ///
    /// # Errors
    /// Those of [`state`](Self::state) and [`set_state`](Self::set_state).
    pub fn update_state(
        &self,
        update: impl FnOnce(Option<A::ConnectionState>) -> A::ConnectionState,
    ) -> Result<(), AttachmentError> {
        let previous = self.state()?.map(|state| A::ConnectionState::clone(&state));
        self.set_state(update(previous))
    }

    /// Removes its state.
    ///
    /// # Errors
    /// [`AttachmentError::Closed`]: the connection has ended.
    pub fn clear_state(&self) -> Result<(), AttachmentError> {
        self.link.set_state(None, None)
    }

    /// Sends text or bytes.
    ///
    /// # Errors
    /// [`ConnectionError::Closed`]: the client has gone or is going. For most agents that is no reason to fail.
    pub fn send<'a>(&self, message: impl Into<Payload<'a>>) -> Result<(), ConnectionError> {
        Ok(self.link.send(&message.into())?)
    }

    /// Sends a value as JSON text.
    ///
    /// # Errors
    /// Those of [`send`](Self::send), and [`ConnectionError::Json`].
    pub fn send_json(&self, value: &impl Serialize) -> Result<(), ConnectionError> {
        self.send(serde_json::to_string(value)?)
    }

    /// Tells the client that its message is not going to be handled, and why, as the protocol says it: a call gets an error, and a state
    /// `cf_agent_state_error`. A call that is refused otherwise waits for ever, and a state seems to be set. `false`: it is a message of
    /// the agent's own, and nothing was sent.
    ///
    /// For [`should_handle_message`](Agent::should_handle_message). A client that has gone meanwhile is not told.
    pub fn refuse(&self, message: &Message, reason: &str) -> bool {
        let refused = match message.as_text().map(client::parse) {
            Some(ClientFrame::Rpc(call)) => server::rpc_error(&call.id, reason),
            Some(ClientFrame::State(_)) => server::state_error(reason),
            Some(ClientFrame::App) | None => return false,
        };
        let _ = self.send(refused);
        true
    }

    /// Begins the close handshake.
    ///
    /// The official clients come back unless the code is 1008 or 4000–4999.
    ///
    /// # Errors
    /// [`ConnectionError::Close`] for a code that may not be sent or a reason over
    /// [`MAX_REASON_BYTES`](crate::close::MAX_REASON_BYTES); [`ConnectionError::Closed`].
    pub fn close(&self, code: u16, reason: &str) -> Result<(), ConnectionError> {
        self.link.close(code, reason)
    }

    /// Whether messages still reach it.
    pub fn is_open(&self) -> bool {
        self.link.is_open()
    }

    /// Whether it gets `cf_agent_*` frames. Decided on connect.
    pub fn is_protocol_enabled(&self) -> bool {
        !self.link.flags().no_protocol
    }

    /// Whether it may not change the agent's state.
    pub fn is_readonly(&self) -> bool {
        self.link.flags().readonly
    }

    /// Forbids or allows it to change the agent's state, from its next message on, also after hibernation.
    ///
    /// # Errors
    /// [`AttachmentError::Closed`]: the connection has ended.
    pub fn set_readonly(&self, readonly: bool) -> Result<(), AttachmentError> {
        self.link.set_flags(Flags { readonly, ..self.link.flags() })
    }
}

impl<A: Agent> Clone for Connection<A> {
    fn clone(&self) -> Self {
        Self { link: Rc::clone(&self.link), instance: Rc::clone(&self.instance) }
    }
}

impl<A: Agent> PartialEq for Connection<A> {
    /// Whether both are handles of one socket.
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.link, &other.link)
    }
}

impl<A: Agent> fmt::Debug for Connection<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}
