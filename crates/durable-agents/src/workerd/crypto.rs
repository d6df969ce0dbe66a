//! WebCrypto.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use durable_agents_core::host::HostError;
use durable_agents_core::signature::VerifyingKey;
use futures::future::LocalBoxFuture;
use js_sys::futures::JsFuture;
use js_sys::{Array, Object, Promise, Reflect, Uint8Array};
use wasm_bindgen::JsValue;

use super::convert::host_error;
use super::sys;

/// Whether the signature is right.
pub(super) fn verify(key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
    // Copies, because the platform looks at them after the caller may have moved its own.
    let (data, signature) = (Uint8Array::from(data), Uint8Array::from(signature));
    let imported = algorithm(key).and_then(|algorithm| Ok((import(key, &algorithm)?, algorithm)));
    Box::pin(async move {
        let (key, algorithm) = imported.map_err(host_error)?;
        let key = JsFuture::from(key).await.map_err(host_error)?;
        let verified = sys::verify(&algorithm, &key, &signature, &data).map_err(host_error)?;
        let verified = JsFuture::from(verified).await.map_err(host_error)?;
        Ok(verified.is_truthy())
    })
}

fn import(key: &VerifyingKey, algorithm: &Object) -> Result<Promise, JsValue> {
    let usages = Array::of1(&"verify".into());
    match key {
        VerifyingKey::HmacSha256 { secret } => {
            sys::import_key("raw", &Uint8Array::from(secret.as_slice()), algorithm, false, &usages)
        }
        VerifyingKey::RsaSha256 { modulus, exponent } => {
            let (modulus, exponent) = (URL_SAFE_NO_PAD.encode(modulus), URL_SAFE_NO_PAD.encode(exponent));
            let jwk = object(&[("kty", "RSA"), ("n", &modulus), ("e", &exponent)])?;
            sys::import_key("jwk", &jwk, algorithm, false, &usages)
        }
        VerifyingKey::EcdsaP256Sha256 { x, y } => {
            let point = VerifyingKey::uncompressed_point(x, y);
            sys::import_key("raw", &Uint8Array::from(point.as_slice()), algorithm, false, &usages)
        }
    }
}

/// What WebCrypto asks for at the import and at the check; it looks at no more members than it needs.
fn algorithm(key: &VerifyingKey) -> Result<Object, JsValue> {
    let name = match key {
        VerifyingKey::HmacSha256 { .. } => "HMAC",
        VerifyingKey::RsaSha256 { .. } => "RSASSA-PKCS1-v1_5",
        VerifyingKey::EcdsaP256Sha256 { .. } => "ECDSA",
    };
    object(&[("name", name), ("hash", "SHA-256"), ("namedCurve", "P-256")])
}

fn object(members: &[(&str, &str)]) -> Result<Object, JsValue> {
    let object = Object::new();
    for (name, value) in members {
        Reflect::set(&object, &JsValue::from_str(name), &JsValue::from_str(value))?;
    }
    Ok(object)
}
