//! Tokens: who a request speaks for.
//!
//! | Configuration | Meaning |
//! |---|---|
//! | secret `JWT_SECRET` | key of HS256; without it no JWT is accepted |
//! | var `JWT_ALGORITHM` | `HS256`, also when unset; with any other value every token is refused and the log says why |
//! | vars `JWT_ISSUER`, `JWT_AUDIENCE` | where set, `iss` must equal and `aud` must hold it |
//! | var `DEV_TOKENS` | `true` accepts `dev:<userId>[:<scope,scope>]` from anybody: for a developer's machine only |
//!
//! A token comes as `Authorization: Bearer …` or as the query parameter `token`. Of a JWT are checked: the signature, the algorithm (the
//! configured one, whatever the token says), `exp` (required) and `nbf` with [`LEEWAY_S`] of leeway, `iss`, `aud`, and `sub`, which
//! is the user's id. Claim `role` is the user's role, claim `scope` holds scopes separated by spaces. The first scope of a development
//! token is its role too, so `dev:ada:admin` is an admin.
//!
//! The cryptography is `hmac` and `sha2` of RustCrypto, which compare in constant time.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durable_agents::host::Level;
use durable_agents::http::Request;
use durable_agents::{Agent, Context};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use sha2::Sha256;

/// How far the clocks of issuer and worker may differ, in seconds; holds for `exp` and `nbf`.
pub const LEEWAY_S: f64 = 60.0;

/// Longest token that is looked at. A connection keeps its URL, and the token in it, in 16 KiB of attachment.
pub const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Longest user id. It is stored with every connection and in the lists of who is there.
pub const MAX_USER_ID_BYTES: usize = 128;

/// Longest role. It becomes a tag, and tags are bounded.
pub const MAX_ROLE_BYTES: usize = 64;

/// Role of a user whose token names none.
pub const DEFAULT_ROLE: &str = "user";

/// Shortest secret that HS256 may be used with.
///
/// Source: RFC 7518 §3.2. A shorter one is accepted with a warning, because refusing it would not make anybody safer who has it.
const MIN_SECRET_BYTES: usize = 32;

/// Who a token speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The token's `sub`.
    pub id: String,
    /// The token's `role`, or [`DEFAULT_ROLE`].
    pub role: String,
    /// What it may be used for.
    pub scopes: Vec<String>,
}

/// Why a token was refused. For the log: a client is told "Unauthorized" and no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum TokenError {
    #[error("no token")]
    Missing,
    #[error("token is {size_bytes} bytes long, limit is {MAX_TOKEN_BYTES}")]
    TooLong { size_bytes: usize },
    #[error("token is no JWT")]
    Malformed,
    #[error("token asks for another algorithm than {expected}, or for extensions")]
    Algorithm { expected: &'static str },
    #[error("signature is wrong")]
    Signature,
    #[error("token has expired")]
    Expired,
    #[error("token is not valid yet")]
    NotYet,
    #[error("token is from another issuer")]
    Issuer,
    #[error("token is for another audience")]
    Audience,
    #[error("claim {0} is missing, too long, or holds control characters")]
    Claim(&'static str),
    #[error("configuration: {0}")]
    Configuration(ConfigurationError),
}

/// What is wrong with the configuration; until it is mended, no token is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum ConfigurationError {
    #[error("JWT_ALGORITHM {0:?} is not supported, use HS256")]
    Algorithm(String),
    #[error("secret JWT_SECRET is not set")]
    NoSecret,
}

/// The user a request speaks for; a refusal is logged, with its reason and without the token.
///
/// # Errors
/// [`TokenError`].
pub fn authenticate<A: Agent>(cx: &Context<A>, request: &Request) -> Result<User, TokenError> {
    let user = Tokens::configured(|name| cx.var(name)).and_then(|tokens| {
        let token = token_of(request).ok_or(TokenError::Missing)?;
        tokens.check(&token, cx.now_ms())
    });
    if let Err(refusal) = &user {
        cx.log(Level::Info, &format!("agent={} instance={:?} token refused: {refusal}", A::CLASS, cx.name()));
    }
    user
}

/// Says in the log what an operator should know of the configuration. For the start of an agent that checks tokens.
pub fn log_configuration<A: Agent>(cx: &Context<A>) {
    for (level, line) in remarks(|name| cx.var(name)) {
        cx.log(level, &format!("agent={} instance={:?} {line}", A::CLASS, cx.name()));
    }
}

fn remarks(var: impl Fn(&str) -> Option<String>) -> Vec<(Level, String)> {
    let mut remarks = Vec::new();
    if accepts_development_tokens(&var) {
        remarks.push((Level::Warn, "DEV_TOKENS is on: anybody may sign in as anybody".to_owned()));
    }
    match Tokens::configured(&var) {
        Err(wrong) => remarks.push((Level::Error, format!("no token will be accepted: {wrong}"))),
        Ok(_) => {
            if let Some(secret) = set(&var, "JWT_SECRET").filter(|secret| secret.len() < MIN_SECRET_BYTES) {
                let line = format!("JWT_SECRET has {} bytes, HS256 asks for {MIN_SECRET_BYTES} or more", secret.len());
                remarks.push((Level::Warn, line));
            }
        }
    }
    remarks
}

/// The token that a request carries, in its `Authorization` header or else in its query.
fn token_of(request: &Request) -> Option<Cow<'_, str>> {
    let bearer = request.header("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim().to_owned())
    });
    bearer.map(Cow::Owned).or_else(|| request.url().query_param("token")).filter(|token| !token.is_empty())
}

/// Which tokens are accepted.
struct Tokens {
    // `None` where only development tokens are.
    key: Option<Key>,
    issuer: Option<String>,
    audience: Option<String>,
    development: bool,
}

/// What signatures are checked with. RS256 and ES256, with their keys from `JWT_JWKS`, will be variants beside it.
enum Key {
    Hs256(Hmac<Sha256>),
}

impl Tokens {
    fn configured(var: impl Fn(&str) -> Option<String>) -> Result<Self, TokenError> {
        let development = accepts_development_tokens(&var);
        let key = match set(&var, "JWT_ALGORITHM").as_deref() {
            None | Some("HS256") => set(&var, "JWT_SECRET").and_then(|secret| {
                // HMAC takes keys of any length, so this is never an error.
                Hmac::new_from_slice(secret.as_bytes()).ok().map(Key::Hs256)
            }),
            Some(other) => return Err(TokenError::Configuration(ConfigurationError::Algorithm(other.to_owned()))),
        };
        if key.is_none() && !development {
            return Err(TokenError::Configuration(ConfigurationError::NoSecret));
        }
        Ok(Self { key, issuer: set(&var, "JWT_ISSUER"), audience: set(&var, "JWT_AUDIENCE"), development })
    }

    fn check(&self, token: &str, now_ms: u64) -> Result<User, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong { size_bytes: token.len() });
        }
        match token.strip_prefix("dev:") {
            Some(token) if self.development => development_user(token),
            _ => self.check_jwt(token, now_ms),
        }
    }

    fn check_jwt(&self, token: &str, now_ms: u64) -> Result<User, TokenError> {
        let key = self.key.as_ref().ok_or(TokenError::Configuration(ConfigurationError::NoSecret))?;
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Malformed)?;
        // A fourth part ends up in the second, and a dot is nothing that base64 knows.
        let (header, claims) = signed.split_once('.').ok_or(TokenError::Malformed)?;
        key.check_header(&part(header)?)?;
        key.check_signature(signed, &decoded(signature)?)?;
        // Nothing that the token claims is looked at before this line.
        let claims: Claims = part(claims)?;
        claims.check_time(now_ms)?;
        if self.issuer.is_some() && claims.iss != self.issuer {
            return Err(TokenError::Issuer);
        }
        if self.audience.as_ref().is_some_and(|audience| !claims.aud.holds(audience)) {
            return Err(TokenError::Audience);
        }
        let scopes = claims.scope.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        user(claims.sub.unwrap_or_default(), claims.role, scopes)
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("development", &self.development).finish_non_exhaustive()
    }
}

impl Key {
    fn check_header(&self, header: &Header) -> Result<(), TokenError> {
        let Self::Hs256(_) = self;
        // An extension marked as critical must be understood, and we know none.
        if header.alg != "HS256" || header.crit.is_some() {
            return Err(TokenError::Algorithm { expected: "HS256" });
        }
        Ok(())
    }

    fn check_signature(&self, signed: &str, signature: &[u8]) -> Result<(), TokenError> {
        let Self::Hs256(key) = self;
        let mut mac = key.clone();
        mac.update(signed.as_bytes());
        mac.verify_slice(signature).map_err(|_| TokenError::Signature)
    }
}

/// The part of a JWT's header that decides anything.
#[derive(Deserialize)]
struct Header {
    alg: String,
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    sub: Option<String>,
    // Seconds, and not necessarily whole ones.
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    #[serde(default)]
    aud: Audience,
    role: Option<String>,
    scope: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(untagged)]
enum Audience {
    #[default]
    Nobody,
    One(String),
    Several(Vec<String>),
}

impl Audience {
    fn holds(&self, audience: &String) -> bool {
        match self {
            Self::Nobody => false,
            Self::One(one) => one == audience,
            Self::Several(several) => several.contains(audience),
        }
    }
}

impl Claims {
    fn check_time(&self, now_ms: u64) -> Result<(), TokenError> {
        #[allow(clippy::cast_precision_loss, reason = "exact until the year 287396")]
        let now_s = now_ms as f64 / 1_000.0;
        let exp = self.exp.ok_or(TokenError::Claim("exp"))?;
        if now_s >= exp + LEEWAY_S {
            return Err(TokenError::Expired);
        }
        if self.nbf.is_some_and(|nbf| now_s < nbf - LEEWAY_S) {
            return Err(TokenError::NotYet);
        }
        Ok(())
    }
}

fn development_user(token: &str) -> Result<User, TokenError> {
    // Scopes may hold colons, user ids do not.
    let (id, scopes) = token.split_once(':').unwrap_or((token, ""));
    let scopes: Vec<String> = scopes.split(',').filter(|scope| !scope.is_empty()).map(str::to_owned).collect();
    user(id.to_owned(), scopes.first().cloned(), scopes)
}

fn user(id: String, role: Option<String>, scopes: Vec<String>) -> Result<User, TokenError> {
    let role = role.unwrap_or_else(|| DEFAULT_ROLE.to_owned());
    for (claim, value, limit_bytes) in [("sub", &id, MAX_USER_ID_BYTES), ("role", &role, MAX_ROLE_BYTES)] {
        if value.is_empty() || value.len() > limit_bytes || value.contains(char::is_control) {
            return Err(TokenError::Claim(claim));
        }
    }
    Ok(User { id, role, scopes })
}

fn part<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenError> {
    let json = decoded(text)?;
    // Fields in a list would fit a struct too.
    if !json.starts_with(b"{") {
        return Err(TokenError::Malformed);
    }
    serde_json::from_slice(&json).map_err(|_| TokenError::Malformed)
}

fn decoded(text: &str) -> Result<Vec<u8>, TokenError> {
    URL_SAFE_NO_PAD.decode(text).map_err(|_| TokenError::Malformed)
}

fn accepts_development_tokens(var: impl Fn(&str) -> Option<String>) -> bool {
    var("DEV_TOKENS").as_deref() == Some("true")
}

/// A variable that is set to something. An empty secret would be one that everybody knows.
fn set(var: impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    var(name).filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
