//! Tokens: who a request speaks for.
//!
//! | Configuration | Meaning |
//! |---|---|
//! | var `JWT_ALGORITHM` | `HS256`, also when unset, `RS256` or `ES256`; with any other value every JWT is refused and the log says why |
//! | secret `JWT_SECRET` | key of HS256 |
//! | var `JWT_JWKS` | keys of RS256 and ES256: a JWK set, as a JSON value or as text |
//! | vars `JWT_ISSUER`, `JWT_AUDIENCE` | where set, `iss` must equal and `aud` must hold it |
//! | var `DEV_TOKENS` | `true` accepts `dev:<userId>[:<scope,scope>]` from anybody: for a developer's machine only |
//!
//! A token comes as `Authorization: Bearer …` or as the query parameter `token`. Of a JWT are checked: the algorithm (the
//! configured one, whatever the token says), the signature, `exp` (required) and `nbf` with [`LEEWAY_S`] of leeway, `iss`, `aud`, and
//! `sub`, which is the user's id. Claim `role` is the user's role, claim `scope` holds scopes separated by spaces. The first scope of a
//! development token is its role too, so `dev:ada:admin` is an admin.
//!
//! A token that names a key by its `kid` is checked with that key of `JWT_JWKS` and no other; one that names none, with those of its
//! algorithm. With HS256 there is one secret, and a `kid` is not looked at.
//!
//! The cryptography is the platform's; see [`Surroundings::verify`].

use std::fmt;

use durable_agents::host::{HostError, Level, Surroundings};
use durable_agents::http::Request;
use durable_agents::{Agent, Context};

mod claims;
pub mod gate;
mod keys;
mod token;

use claims::Claims;
use keys::Keys;
use token::{Jwt, token_of};

pub use claims::{LEEWAY_S, MAX_ROLE_BYTES, MAX_USER_ID_BYTES};
pub use keys::{MAX_KEYS, MIN_RSA_BITS};
pub use token::MAX_TOKEN_BYTES;

/// Role of a user whose token names none.
pub const DEFAULT_ROLE: &str = "user";

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

impl User {
    /// Whether the token may be used for `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|own| own == scope)
    }
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
    #[error("token names a key that is not among ours")]
    UnknownKey,
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
    Configuration(#[from] ConfigurationError),
    #[error("the platform could not check the signature: {0}")]
    Platform(HostError),
}

/// What is wrong with the configuration; until it is mended, no JWT is accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the texts say it")]
pub enum ConfigurationError {
    #[error("JWT_ALGORITHM {0:?} is not supported, use HS256, RS256 or ES256")]
    Algorithm(String),
    #[error("secret JWT_SECRET is not set")]
    NoSecret,
    #[error("var JWT_JWKS is not set")]
    NoKeySet,
    #[error("JWT_JWKS is no JWK set: an object with a list of keys")]
    KeySet,
    #[error("JWT_JWKS holds {count} keys, limit is {MAX_KEYS}")]
    TooManyKeys { count: usize },
    #[error("JWT_JWKS holds no key for {0}")]
    NoKey(&'static str),
}

/// The user a request speaks for; a refusal is logged, with its reason and without the token.
///
/// # Errors
/// [`TokenError`].
pub async fn authenticate<A: Agent>(cx: &Context<A>, request: &Request) -> Result<User, TokenError> {
    let authorization = request.header("authorization");
    let user = check(cx.host(), token_of(authorization.as_deref(), request.url()).as_deref()).await;
    if let Err(refusal) = &user {
        cx.log(Level::Info, &format!("token refused: {refusal}"));
    }
    user
}

/// The user a token speaks for, by the configuration of the worker around.
///
/// # Errors
/// [`TokenError`].
pub async fn check(around: &dyn Surroundings, token: Option<&str>) -> Result<User, TokenError> {
    let token = token.ok_or(TokenError::Missing)?;
    Tokens::configured(around).check(around, token).await
}

/// Says in the log what an operator should know of the configuration. For the start of an agent that checks tokens.
pub fn log_configuration<A: Agent>(cx: &Context<A>) {
    for (level, line) in Tokens::configured(cx.host()).remarks() {
        cx.log(level, &line);
    }
}

/// Which tokens are accepted.
struct Tokens {
    keys: Result<Keys, ConfigurationError>,
    issuer: Option<String>,
    audience: Option<String>,
    development: bool,
}

impl Tokens {
    fn configured(around: &dyn Surroundings) -> Self {
        // An empty secret would be one that everybody knows.
        let set = |name: &str| around.var(name).filter(|value| !value.is_empty());
        Self {
            keys: Keys::configured(set),
            issuer: set("JWT_ISSUER"),
            audience: set("JWT_AUDIENCE"),
            development: set("DEV_TOKENS").as_deref() == Some("true"),
        }
    }

    async fn check(&self, around: &dyn Surroundings, token: &str) -> Result<User, TokenError> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(TokenError::TooLong { size_bytes: token.len() });
        }
        match token.strip_prefix("dev:") {
            Some(token) if self.development => claims::development_user(token),
            _ => self.check_jwt(around, token).await,
        }
    }

    async fn check_jwt(&self, around: &dyn Surroundings, token: &str) -> Result<User, TokenError> {
        let keys = self.keys.as_ref().map_err(Clone::clone)?;
        let jwt = Jwt::parse(token)?;
        keys.check(around, &jwt).await?;
        // Nothing that the token claims is looked at before this line.
        let claims = Claims::read(jwt.claims()?)?;
        claims.check_time(around.now_ms())?;
        claims.check_parties(self.issuer.as_deref(), self.audience.as_deref())?;
        claims.into_user()
    }

    fn remarks(&self) -> Vec<(Level, String)> {
        let mut remarks = Vec::new();
        if self.development {
            remarks.push((Level::Warn, "DEV_TOKENS is on: anybody may sign in as anybody".to_owned()));
        }
        match &self.keys {
            Ok(keys) => remarks.extend(keys.remarks().map(|line| (Level::Warn, line))),
            // A developer's machine needs no keys.
            Err(ConfigurationError::NoSecret | ConfigurationError::NoKeySet) if self.development => {}
            Err(wrong) => remarks.push((Level::Error, format!("no token will be accepted: configuration: {wrong}"))),
        }
        remarks
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("development", &self.development).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
