//! Form fields, once the platform has taken a body apart.

use bytes::Bytes;

/// The fields of a form, in order.
#[derive(Clone, Debug, Default)]
pub struct FormData {
    /// Name and content of each field; names may repeat.
    pub fields: Vec<(String, FormField)>,
}

/// One field of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormField {
    /// An ordinary field.
    Text(String),
    /// A file.
    File {
        /// Name the client gave. Never a path to trust.
        filename: String,
        /// Type the client gave; empty if it gave none.
        content_type: String,
        /// Content.
        content: Bytes,
    },
}

impl FormData {
    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&FormField> {
        self.fields.iter().find(|(field, _)| field == name).map(|(_, field)| field)
    }
}
