//! Tokens as an issuer makes them, with the keys in `tests/keys`, which are there for tests and guard nothing.

#![allow(dead_code, reason = "not every test needs every kind")]

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "a secret of at least thirty-two bytes";

pub(crate) const RSA: &str = include_str!("../keys/rsa.pem");
pub(crate) const OTHER_RSA: &str = include_str!("../keys/rsa-other.pem");
pub(crate) const EC: &str = include_str!("../keys/ec.pem");
pub(crate) const OTHER_EC: &str = include_str!("../keys/ec-other.pem");

/// The public half of a key by its file's name, which is its `kid`.
pub(crate) fn jwk(name: &str) -> Value {
    let set: Value = serde_json::from_str(include_str!("../keys/jwks.json")).expect("JSON");
    let keys = set["keys"].as_array().expect("a list");
    keys.iter().find(|key| key["kid"] == name).expect("a key of that name").clone()
}

/// A JWK set as the configuration takes it.
pub(crate) fn jwks(keys: &[Value]) -> String {
    json!({ "keys": keys }).to_string()
}

pub(crate) fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// What is signed: header and claims.
pub(crate) fn unsigned(header: &str, claims: &str) -> String {
    format!("{}.{}", encoded(header), encoded(claims))
}

pub(crate) fn hs256(secret: impl AsRef<[u8]>, header: &str, claims: &str) -> String {
    let signed = unsigned(header, claims);
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref()), signed.as_bytes());
    format!("{signed}.{}", encoded(tag))
}

/// A token of the holder of [`SECRET`].
pub(crate) fn jwt(claims: &Value) -> String {
    hs256(SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

pub(crate) fn rs256(pem: &str, header: &str, claims: &str) -> String {
    let key = RsaKeyPair::from_pkcs8(&der(pem)).expect("an RSA key");
    let signed = unsigned(header, claims);
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).expect("a signature");
    format!("{signed}.{}", encoded(signature))
}

pub(crate) fn es256(pem: &str, header: &str, claims: &str) -> String {
    ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, pem, header, claims)
}

/// The same signature in the encoding of certificates, which JWTs do not have.
pub(crate) fn es256_in_der(pem: &str, header: &str, claims: &str) -> String {
    ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING, pem, header, claims)
}

fn ecdsa(algorithm: &'static EcdsaSigningAlgorithm, pem: &str, header: &str, claims: &str) -> String {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::from_pkcs8(algorithm, &der(pem), &random).expect("a P-256 key");
    let signed = unsigned(header, claims);
    let signature = key.sign(&random, signed.as_bytes()).expect("a signature");
    format!("{signed}.{}", encoded(signature))
}

fn der(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    STANDARD.decode(base64).expect("PEM")
}
