//! Signatures of others.
//!
//! Checking one is the platform's work, asked for through [`Surroundings::verify`](crate::host::Surroundings::verify): workerd has
//! WebCrypto, and cryptography compiled to wasm would outweigh all the rest.

use std::fmt;

/// What a signature is checked with. The kind of key decides the algorithm, so neither can be confused with another.
#[derive(Clone, PartialEq, Eq)]
pub enum VerifyingKey {
    /// HMAC with SHA-256; tokens call it HS256.
    HmacSha256 {
        /// The secret that both sides have; not empty.
        secret: Vec<u8>,
    },
    /// RSASSA-PKCS1-v1_5 with SHA-256; tokens call it RS256. How many bits are enough is the caller's to say.
    RsaSha256 {
        /// The modulus, most significant byte first.
        modulus: Vec<u8>,
        /// The public exponent, likewise.
        exponent: Vec<u8>,
    },
    /// ECDSA with SHA-256 over P-256; tokens call it ES256. Its signatures are two numbers of 32 bytes each, without DER around them.
    EcdsaP256Sha256 {
        /// First coordinate of the public point, most significant byte first.
        x: [u8; 32],
        /// Second coordinate, likewise.
        y: [u8; 32],
    },
}

impl VerifyingKey {
    /// A point on a curve as SEC 1 writes it without compression.
    pub fn uncompressed_point(x: &[u8; 32], y: &[u8; 32]) -> [u8; 65] {
        let mut point = [0; 65];
        let (tag, coordinates) = point.split_at_mut(1);
        tag.fill(4);
        for (to, from) in coordinates.iter_mut().zip(x.iter().chain(y)) {
            *to = *from;
        }
        point
    }
}

impl fmt::Debug for VerifyingKey {
    // One of them is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HmacSha256 { .. } => "HmacSha256",
            Self::RsaSha256 { .. } => "RsaSha256",
            Self::EcdsaP256Sha256 { .. } => "EcdsaP256Sha256",
        })
    }
}
