//! WebCrypto.

use durable_agents_core::host::HostError;
use durable_agents_core::signature::VerifyingKey;
use futures::future::LocalBoxFuture;
use js_sys::futures::JsFuture;

use super::convert::host_error;
use super::sys;

/// Whether the signature is right.
pub(super) fn verify(key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
    let checked = match key {
        VerifyingKey::HmacSha256 { secret } => sys::verify("HMAC", secret, None, signature, data),
        VerifyingKey::RsaSha256 { modulus, exponent } => {
            sys::verify("RSASSA-PKCS1-v1_5", modulus, Some(exponent), signature, data)
        }
        VerifyingKey::EcdsaP256Sha256 { x, y } => {
            sys::verify("ECDSA", &VerifyingKey::uncompressed_point(x, y), None, signature, data)
        }
    };
    Box::pin(async move { Ok(JsFuture::from(checked.map_err(host_error)?).await.map_err(host_error)?.is_truthy()) })
}
