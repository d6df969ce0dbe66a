//! Headers for browsers on other origins.

use std::sync::LazyLock;

use http::{HeaderValue, header};

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
            (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, HEAD, OPTIONS"),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ]
        .map(|(name, value)| (name, HeaderValue::from_static(value))),
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
