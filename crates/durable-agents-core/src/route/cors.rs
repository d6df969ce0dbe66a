//! Headers for browsers on other origins.

use http::HeaderValue;

use crate::http::Headers;

/// What the router sets on answers to matched requests that are no upgrades.
///
/// The headers replace equally named ones of the agent. A matched `OPTIONS` is answered with them and wakes nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// Nothing; `OPTIONS` is a request like any other.
    #[default]
    Off,
    /// Any origin, any header, `GET, POST, HEAD, OPTIONS`, kept for a day.
    AllowAll,
    /// Exactly these.
    Headers(Headers),
}

pub(super) static ALLOW_ALL: [(&str, HeaderValue); 4] = [
    ("access-control-allow-origin", HeaderValue::from_static("*")),
    ("access-control-allow-methods", HeaderValue::from_static("GET, POST, HEAD, OPTIONS")),
    ("access-control-allow-headers", HeaderValue::from_static("*")),
    ("access-control-max-age", HeaderValue::from_static("86400")),
];

impl Cors {
    pub(super) fn is_off(&self) -> bool {
        matches!(self, Self::Off)
    }
}
