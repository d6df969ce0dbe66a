//! Headers for browsers on other origins.

use std::sync::LazyLock;

use http::{HeaderName, HeaderValue};

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

static ALLOW_ALL: LazyLock<Headers> = LazyLock::new(|| {
    Headers::from_iter(
        [
            ("access-control-allow-origin", "*"),
            ("access-control-allow-methods", "GET, POST, HEAD, OPTIONS"),
            ("access-control-allow-headers", "*"),
            ("access-control-max-age", "86400"),
        ]
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))),
    )
});

impl Cors {
    pub(super) fn headers(&self) -> Option<&Headers> {
        match self {
            Self::Off => None,
            Self::AllowAll => Some(&ALLOW_ALL),
            Self::Headers(headers) => Some(headers),
        }
    }
}
