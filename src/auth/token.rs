//! A token, taken apart.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durable_agents::http::Url;
use serde::Deserialize;

use super::TokenError;

/// Longest token that is looked at. A connection keeps its URL, and the token in it, in 16 KiB of attachment.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// The token that a request carries, in its `Authorization` header or else in its query.
pub(super) fn token_of<'a>(authorization: Option<&'a str>, url: &'a Url) -> Option<Cow<'a, str>> {
    let bearer = authorization.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| Cow::Borrowed(token.trim()))
    });
    bearer.or_else(|| url.query_param("token")).filter(|token| !token.is_empty())
}

/// A signed JWT (JWS compact serialization, RFC 7515). Nothing in it is true before its signature has been checked.
pub(super) struct Jwt<'t> {
    pub(super) header: Header,
    /// Header and claims as they were signed.
    pub(super) signed: &'t str,
    pub(super) signature: Vec<u8>,
    claims: &'t str,
}

/// The part of a JWT's header that decides anything. Keys that it brings along (`jwk`, `jku`, `x5c`) are its own word for itself.
#[derive(Deserialize)]
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Extensions that must be understood; we know none.
    pub(super) crit: Option<serde::de::IgnoredAny>,
}

impl<'t> Jwt<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        // A fourth part ends up in the claims, and a dot is nothing that base64 knows.
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        Ok(Self { header: part(header)?, signed, signature: decoded(signature)?, claims })
    }

    pub(super) fn claims<T: for<'de> Deserialize<'de>>(&self) -> Result<T, TokenError> {
        part(self.claims)
    }
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenError> {
    let json = decoded(text)?;
    // Fields in a list would fit a struct too.
    if !json.starts_with(b"{") {
        return Err(TokenError::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

pub(super) fn decoded(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}
