//! WebCrypto.

use durable_agents_core::host::HostError;
use durable_agents_core::http::{Body, BodyError};
use durable_agents_core::signature::VerifyingKey;
use futures::future::LocalBoxFuture;
use js_sys::futures::JsFuture;

use super::body::{body_to_js, bytes_from_js, cut};
use super::convert::host_error;
use super::sys;

/// SHA-256 of a body.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code, reason = "there is no platform"))]
pub(crate) async fn sha256(body: Body) -> Result<[u8; 32], BodyError> {
    let taken = sys::sha256(&body_to_js(body).map_err(cut)?).map_err(cut)?;
    let digest = JsFuture::from(taken).await.map_err(cut)?;
    <[u8; 32]>::try_from(&*bytes_from_js(&digest)).map_err(|_| BodyError::Cut("the platform has no such digest".to_owned()))
}

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
