//! What a token says about its user, and for how long.

use super::token::Fields;
use super::{DEFAULT_ROLE, TokenError, User};

/// How far the clocks of issuer and worker may differ, in seconds; holds for `exp` and `nbf`.
pub const LEEWAY_S: f64 = 60.0;

/// Longest user id, in bytes of UTF-8. It is stored with every connection and in the lists of who is there.
pub const MAX_USER_ID_BYTES: usize = 128;

/// Longest role, in bytes of UTF-8. It becomes a tag, and tags are bounded.
pub const MAX_ROLE_BYTES: usize = 64;

pub(super) struct Claims {
    sub: Option<String>,
    // Seconds, and not necessarily whole ones.
    exp: Option<f64>,
    nbf: Option<f64>,
    iss: Option<String>,
    aud: Vec<String>,
    role: Option<String>,
    scope: Option<String>,
}

impl Claims {
    pub(super) fn read(mut fields: Fields) -> Result<Self, TokenError> {
        Ok(Self {
            sub: fields.text("sub")?,
            exp: fields.number("exp")?,
            nbf: fields.number("nbf")?,
            iss: fields.text("iss")?,
            aud: fields.texts("aud")?,
            role: fields.text("role")?,
            scope: fields.text("scope")?,
        })
    }

    pub(super) fn check_time(&self, now_ms: u64) -> Result<(), TokenError> {
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

    pub(super) fn check_parties(&self, issuer: Option<&str>, audience: Option<&str>) -> Result<(), TokenError> {
        if issuer.is_some() && self.iss.as_deref() != issuer {
            return Err(TokenError::Issuer);
        }
        if audience.is_some_and(|audience| !self.aud.iter().any(|one| one == audience)) {
            return Err(TokenError::Audience);
        }
        Ok(())
    }

    pub(super) fn into_user(self) -> Result<User, TokenError> {
        let scopes = self.scope.unwrap_or_default().split_ascii_whitespace().map(str::to_owned).collect();
        user(self.sub.unwrap_or_default(), self.role, scopes)
    }
}

/// The user of a development token, without its `dev:`.
pub(super) fn development_user(token: &str) -> Result<User, TokenError> {
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
