//! What travels over a socket, in and out.

use std::any::Any;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::fmt;

/// A message from a client that is not a protocol frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// A text message, exactly as sent.
    Text(String),
    /// A binary message, exactly as sent.
    Binary(Vec<u8>),
}

impl Message {
    /// The text, or `None` for a binary message.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Binary(_) => None,
        }
    }

    /// The bytes of a binary message, or of the text's UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Binary(bytes) => bytes,
        }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Message {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes)
    }
}

/// A message on its way out: text or bytes, borrowed or owned.
///
/// Built by `into()` from `&str`, `String`, `&[u8]`, `Vec<u8>` and [`Message`].
pub struct Payload<'a> {
    data: Data<'a>,
    for_many: bool,
    // A broadcast sends one payload to many sockets; the platform's form of it is made by the first and kept for the rest.
    converted: OnceCell<Box<dyn Any>>,
}

/// Content of a [`Payload`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data<'a> {
    /// Sent as a text message.
    Text(Cow<'a, str>),
    /// Sent as a binary message.
    Binary(Cow<'a, [u8]>),
}

impl<'a> Payload<'a> {
    /// The content.
    pub fn data(&self) -> &Data<'a> {
        &self.data
    }

    /// Whether it goes to more than one socket, so that its form for the platform is worth keeping.
    pub fn is_for_many(&self) -> bool {
        self.for_many
    }

    /// The same payload, for more than one socket.
    pub(crate) fn for_many(self) -> Self {
        Self { for_many: true, ..self }
    }

    /// The platform's form of this payload, made by `convert` at the first call.
    ///
    /// Returns `None` if an earlier call stored a value of another type, which a single adapter never does.
    pub fn converted<T: 'static>(&self, convert: impl FnOnce(&Data<'a>) -> T) -> Option<&T> {
        self.converted.get_or_init(|| Box::new(convert(&self.data))).downcast_ref()
    }

    fn new(data: Data<'a>) -> Self {
        Self { data, for_many: false, converted: OnceCell::new() }
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.data.fmt(f)
    }
}

impl<'a> From<&'a str> for Payload<'a> {
    fn from(text: &'a str) -> Self {
        Self::new(Data::Text(Cow::Borrowed(text)))
    }
}

impl From<String> for Payload<'_> {
    fn from(text: String) -> Self {
        Self::new(Data::Text(Cow::Owned(text)))
    }
}

impl<'a> From<&'a String> for Payload<'a> {
    fn from(text: &'a String) -> Self {
        Self::from(text.as_str())
    }
}

impl<'a> From<&'a [u8]> for Payload<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self::new(Data::Binary(Cow::Borrowed(bytes)))
    }
}

impl From<Vec<u8>> for Payload<'_> {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(Data::Binary(Cow::Owned(bytes)))
    }
}

impl<'a> From<&'a Message> for Payload<'a> {
    fn from(message: &'a Message) -> Self {
        match message {
            Message::Text(text) => Self::from(text.as_str()),
            Message::Binary(bytes) => Self::from(bytes.as_slice()),
        }
    }
}

impl From<Message> for Payload<'_> {
    fn from(message: Message) -> Self {
        match message {
            Message::Text(text) => Self::from(text),
            Message::Binary(bytes) => Self::from(bytes),
        }
    }
}
