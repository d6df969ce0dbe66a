//! A token, taken apart.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durable_agents::http::Url;
use serde_json::{Map, Value};

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
pub(super) struct Header {
    pub(super) alg: String,
    pub(super) kid: Option<String>,
    /// Whether there are extensions that must be understood; we know none.
    pub(super) has_crit: bool,
}

impl<'t> Jwt<'t> {
    pub(super) fn parse(token: &'t str) -> Result<Self, TokenError> {
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        // A fourth part ends up in the claims, and a dot is nothing that base64 knows.
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        let mut header = Fields::decoded(header)?;
        let (alg, kid) = (header.text("alg")?.ok_or(TokenError::Malformed)?, header.text("kid")?);
        let header = Header { alg, kid, has_crit: header.take("crit").is_some() };
        Ok(Self { header, signed, signature: decoded(signature)?, claims })
    }

    pub(super) fn claims(&self) -> Result<Fields, TokenError> {
        Fields::decoded(self.claims)
    }
}

/// Header or claims. What is `null` is not there, and what is of another type than asked for makes the token no JWT.
pub(super) struct Fields(Map<String, Value>);

impl Fields {
    fn decoded(part: &str) -> Result<Self, TokenError> {
        let json = String::from_utf8(decoded(part)?).map_err(|_| TokenError::Malformed)?;
        serde_json::from_str(&json).map(Self).map_err(|_| TokenError::Malformed)
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.get_mut(name).map(Value::take).filter(|value| !value.is_null())
    }

    pub(super) fn text(&mut self, name: &str) -> Result<Option<String>, TokenError> {
        self.take(name).map(text).transpose()
    }

    pub(super) fn number(&mut self, name: &str) -> Result<Option<f64>, TokenError> {
        self.take(name).map(|value| value.as_f64().ok_or(TokenError::Malformed)).transpose()
    }

    /// A text, or a list of them.
    pub(super) fn texts(&mut self, name: &str) -> Result<Vec<String>, TokenError> {
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(values)) => values.into_iter().map(text).collect(),
            Some(value) => Ok(vec![text(value)?]),
        }
    }
}

fn text(value: Value) -> Result<String, TokenError> {
    match value {
        Value::String(text) => Ok(text),
        _ => Err(TokenError::Malformed),
    }
}

pub(super) fn decoded(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}
