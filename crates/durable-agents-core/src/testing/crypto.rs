//! Cryptography, as WebCrypto has it.

use ring::{hmac, signature};

use crate::signature::VerifyingKey;

/// Whether the signature is right. A key that is none has signed nothing.
pub(super) fn verify(key: &VerifyingKey, data: &[u8], signature: &[u8]) -> bool {
    match key {
        VerifyingKey::HmacSha256 { secret } => {
            hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), data, signature).is_ok()
        }
        VerifyingKey::RsaSha256 { modulus, exponent } => {
            let key = signature::RsaPublicKeyComponents { n: modulus, e: exponent };
            // WebCrypto takes shorter keys than these 1024 bits; which are too short is for whoever asks to say.
            key.verify(&signature::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, data, signature).is_ok()
        }
        VerifyingKey::EcdsaP256Sha256 { x, y } => {
            let point = VerifyingKey::uncompressed_point(x, y);
            let key = signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point);
            key.verify(data, signature).is_ok()
        }
    }
}
