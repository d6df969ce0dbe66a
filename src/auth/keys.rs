//! What signatures are checked with: the configured algorithm and its keys.

use std::fmt;

use durable_agents::host::Surroundings;
use durable_agents::signature::VerifyingKey;
use serde_json::Value;

use super::token::{Header, Jwt, decoded};
use super::{ConfigurationError, TokenError};

/// Fewest bits of an RSA key. Source: RFC 7518 §3.3.
pub const MIN_RSA_BITS: usize = 2048;

/// Most keys of a JWK set. A token that names none of them may have to be tried with each.
pub const MAX_KEYS: usize = 16;

/// Shortest secret that HS256 may be used with.
///
/// Source: RFC 7518 §3.2. A shorter one is accepted with a warning, because refusing it would not make anybody safer who has it.
const MIN_SECRET_BYTES: usize = 32;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Algorithm {
    Hs256,
    Rs256,
    Es256,
}

impl Algorithm {
    fn named(name: &str) -> Option<Self> {
        [Self::Hs256, Self::Rs256, Self::Es256].into_iter().find(|algorithm| algorithm.name() == name)
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
        }
    }
}

/// The configured algorithm, with at least one key.
pub(super) struct Keys {
    algorithm: Algorithm,
    keys: Vec<Key>,
    rejected: Vec<Rejected>,
}

struct Key {
    id: Option<String>,
    key: VerifyingKey,
}

/// A key of the set that should be of use and is not.
struct Rejected {
    id: Option<String>,
    why: KeyError,
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum KeyError {
    #[error("has no usable {0:?}")]
    Member(&'static str),
    #[error("has {bits} bits, RS256 asks for {MIN_RSA_BITS} or more")]
    TooShort { bits: usize },
}

impl Keys {
    pub(super) fn configured(set: impl Fn(&str) -> Option<String>) -> Result<Self, ConfigurationError> {
        let algorithm = match set("JWT_ALGORITHM") {
            None => Algorithm::Hs256,
            Some(name) => Algorithm::named(&name).ok_or(ConfigurationError::Algorithm(name))?,
        };
        match algorithm {
            Algorithm::Hs256 => {
                let secret = set("JWT_SECRET").ok_or(ConfigurationError::NoSecret)?.into_bytes();
                let keys = vec![Key { id: None, key: VerifyingKey::HmacSha256 { secret } }];
                Ok(Self { algorithm, keys, rejected: Vec::new() })
            }
            Algorithm::Rs256 | Algorithm::Es256 => {
                Self::of_set(algorithm, &set("JWT_JWKS").ok_or(ConfigurationError::NoKeySet)?)
            }
        }
    }

    fn of_set(algorithm: Algorithm, json: &str) -> Result<Self, ConfigurationError> {
        let set: Value = serde_json::from_str(json).map_err(|_| ConfigurationError::KeySet)?;
        let set = set.get("keys").and_then(Value::as_array).ok_or(ConfigurationError::KeySet)?;
        if set.len() > MAX_KEYS {
            return Err(ConfigurationError::TooManyKeys { count: set.len() });
        }
        let mut keys = Self { algorithm, keys: Vec::new(), rejected: Vec::new() };
        // An issuer's set holds keys of other kinds and for other uses as well.
        for jwk in set.iter().map(Jwk).filter(|jwk| jwk.is_for(algorithm)) {
            let id = jwk.text("kid").map(str::to_owned);
            match jwk.key(algorithm) {
                Ok(key) => keys.keys.push(Key { id, key }),
                Err(why) => keys.rejected.push(Rejected { id, why }),
            }
        }
        if keys.keys.is_empty() {
            return Err(ConfigurationError::NoKey(algorithm.name()));
        }
        Ok(keys)
    }

    /// What is worth a warning.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        let short = self.keys.iter().filter_map(|key| match &key.key {
            VerifyingKey::HmacSha256 { secret } if secret.len() < MIN_SECRET_BYTES => {
                Some(format!("JWT_SECRET has {} bytes, HS256 asks for {MIN_SECRET_BYTES} or more", secret.len()))
            }
            _ => None,
        });
        short.chain(self.rejected.iter().map(ToString::to_string))
    }

    /// Whether the token was signed for the configured algorithm, and by the holder of one of its keys.
    pub(super) async fn check(&self, around: &dyn Surroundings, jwt: &Jwt<'_>) -> Result<(), TokenError> {
        let Header { alg, kid, has_crit } = &jwt.header;
        let expected = self.algorithm.name();
        if alg != expected || *has_crit {
            return Err(TokenError::Algorithm { expected });
        }
        let mut refusal = TokenError::UnknownKey;
        for key in self.named(kid.as_deref()) {
            match around.verify(&key.key, jwt.signed.as_bytes(), &jwt.signature).await {
                Ok(true) => return Ok(()),
                Ok(false) => refusal = TokenError::Signature,
                Err(error) => refusal = TokenError::Platform(error),
            }
        }
        Err(refusal)
    }

    fn named(&self, id: Option<&str>) -> impl Iterator<Item = &Key> {
        // A secret has no name, whatever an issuer calls it.
        let any = id.is_none() || self.algorithm == Algorithm::Hs256;
        self.keys.iter().filter(move |key| any || key.id.as_deref() == id)
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, why } = self;
        match id {
            Some(id) => write!(f, "a key of JWT_JWKS is not used: {id:?} {why}"),
            None => write!(f, "a key of JWT_JWKS is not used: it {why}"),
        }
    }
}

/// A public key as RFC 7517 and RFC 7518 §6 write it. Private members, should there be any, are not read.
struct Jwk<'a>(&'a Value);

impl<'a> Jwk<'a> {
    fn text(&self, member: &str) -> Option<&'a str> {
        self.0.get(member)?.as_str()
    }

    fn is_for(&self, algorithm: Algorithm) -> bool {
        let kind = match algorithm {
            Algorithm::Hs256 => return false,
            Algorithm::Rs256 => self.text("kty") == Some("RSA"),
            Algorithm::Es256 => self.text("kty") == Some("EC") && self.text("crv") == Some("P-256"),
        };
        let says_nothing_else = |member, expected| self.0.get(member).is_none_or(|value| value.as_str() == Some(expected));
        let verifies = |ops: &Value| ops.as_array().is_some_and(|ops| ops.iter().any(|op| op.as_str() == Some("verify")));
        kind && says_nothing_else("use", "sig")
            && says_nothing_else("alg", algorithm.name())
            && self.0.get("key_ops").is_none_or(verifies)
    }

    fn key(&self, algorithm: Algorithm) -> Result<VerifyingKey, KeyError> {
        if algorithm == Algorithm::Es256 {
            return Ok(VerifyingKey::EcdsaP256Sha256 { x: self.coordinate("x")?, y: self.coordinate("y")? });
        }
        let (modulus, exponent) = (self.bytes("n")?, self.bytes("e")?);
        let bits = bits(&modulus);
        if bits < MIN_RSA_BITS {
            return Err(KeyError::TooShort { bits });
        }
        Ok(VerifyingKey::RsaSha256 { modulus, exponent })
    }

    fn bytes(&self, member: &'static str) -> Result<Vec<u8>, KeyError> {
        let decoded = self.text(member).and_then(|text| decoded(text).ok());
        decoded.filter(|bytes| !bytes.is_empty()).ok_or(KeyError::Member(member))
    }

    fn coordinate(&self, member: &'static str) -> Result<[u8; 32], KeyError> {
        self.bytes(member)?.try_into().map_err(|_| KeyError::Member(member))
    }
}

/// Bits of a number, without zeros before it.
fn bits(number: &[u8]) -> usize {
    let significant = number.iter().position(|byte| *byte != 0).and_then(|at| number.get(at..));
    significant.map_or(0, |digits| digits.len() * 8 - digits.first().map_or(0, |first| first.leading_zeros() as usize))
}
