//! RS256 and ES256: which keys count, and what forgers try.

use super::tokens::{EC, OTHER_EC, OTHER_RSA, RSA, es256, es256_in_der, rs256, unsigned};
use super::*;

const RS256: &str = r#"{"alg":"RS256"}"#;
const ES256: &str = r#"{"alg":"ES256"}"#;

fn ada() -> Result<User, TokenError> {
    Ok(user_of("ada", "user", &[]))
}

fn body() -> String {
    claims().to_string()
}

fn naming(algorithm: &str, kid: &str) -> String {
    json!({ "alg": algorithm, "kid": kid }).to_string()
}

#[test]
fn the_examples_of_rfc_7515_are_genuine() {
    // Appendices A.2 and A.3; what stops them is that they expired in 2011.
    let payload = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let rsa = json!({
        "kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMs\
            D1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdV\
            MTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ",
    });
    let ec = json!({
        "kty": "EC", "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    for (algorithm, key, header, signature) in [
        (
            "RS256",
            rsa,
            "eyJhbGciOiJSUzI1NiJ9",
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjb\
             KBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZES\
             c6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
        ),
        (
            "ES256",
            ec,
            "eyJhbGciOiJFUzI1NiJ9",
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
        ),
    ] {
        let token = format!("{header}.{payload}.{signature}");
        assert_eq!(check_keys(algorithm, &[key], &token), Err(TokenError::Expired), "{algorithm}");
    }
}

#[test]
fn a_token_of_either_key_is_good_and_its_claims_count() {
    let publish = with(json!({ "scope": "hub:publish", "role": "service" })).to_string();
    let expected = Ok(user_of("ada", "service", &["hub:publish"]));
    assert_eq!(check_keys("RS256", &[jwk("rsa")], &rs256(RSA, RS256, &publish)), expected);
    assert_eq!(check_keys("ES256", &[jwk("ec")], &es256(EC, ES256, &publish)), expected);
    for (changes, expected) in [
        (json!({ "exp": now_s() - 60 }), TokenError::Expired),
        (json!({ "exp": null }), TokenError::Claim("exp")),
        (json!({ "nbf": now_s() + 61 }), TokenError::NotYet),
        (json!({ "sub": "" }), TokenError::Claim("sub")),
    ] {
        let claims = with(changes.clone()).to_string();
        assert_eq!(check_keys("RS256", &[jwk("rsa")], &rs256(RSA, RS256, &claims)), Err(expected.clone()), "{changes}");
        assert_eq!(check_keys("ES256", &[jwk("ec")], &es256(EC, ES256, &claims)), Err(expected), "{changes}");
    }
}

#[test]
fn a_named_key_is_the_only_one_that_counts() {
    let both = [jwk("rsa"), jwk("rsa-other")];
    let unnamed = changed("rsa", json!({ "kid": null }));
    for (keys, signer, header, expected) in [
        (&both[..], RSA, naming("RS256", "rsa"), ada()),
        (&both, OTHER_RSA, naming("RS256", "rsa-other"), ada()),
        (&both, OTHER_RSA, naming("RS256", "rsa"), Err(TokenError::Signature)),
        (&both, RSA, naming("RS256", "ec"), Err(TokenError::UnknownKey)),
        (&both, RSA, naming("RS256", ""), Err(TokenError::UnknownKey)),
        (&[unnamed], RSA, naming("RS256", "rsa"), Err(TokenError::UnknownKey)),
        (&both, RSA, RS256.to_owned(), ada()),
        (&both, OTHER_RSA, RS256.to_owned(), ada()),
        (&both[..1], OTHER_RSA, RS256.to_owned(), Err(TokenError::Signature)),
    ] {
        assert_eq!(check_keys("RS256", keys, &rs256(signer, &header, &body())), expected, "{header} {}", keys.len());
    }
    assert_eq!(check_keys("ES256", &[jwk("ec"), jwk("ec-other")], &es256(OTHER_EC, ES256, &body())), ada());
    assert_eq!(check_keys("ES256", &[jwk("ec")], &es256(OTHER_EC, ES256, &body())), Err(TokenError::Signature));
    let named = naming("ES256", "ec");
    let forged = es256(OTHER_EC, &named, &body());
    assert_eq!(check_keys("ES256", &[jwk("ec"), jwk("ec-other")], &forged), Err(TokenError::Signature));
}

#[test]
fn with_a_secret_a_name_of_a_key_decides_nothing() {
    assert_eq!(check_hs256(&hs256(SECRET, &naming("HS256", "any"), &body())), ada());
}

#[test]
fn the_kind_of_key_is_the_configurations_and_not_the_tokens() {
    let all = [jwk("rsa"), jwk("ec")];
    let asks = |expected| Err(TokenError::Algorithm { expected });
    let modulus = jwk("rsa")["n"].as_str().expect("a modulus").to_owned();
    for (algorithm, token, expected) in [
        ("RS256", es256(EC, ES256, &body()), asks("RS256")),
        ("ES256", rs256(RSA, RS256, &body()), asks("ES256")),
        // The public key as the secret of an HMAC, in each form a forger could guess.
        ("RS256", hs256(jwk("rsa").to_string(), r#"{"alg":"HS256"}"#, &body()), asks("RS256")),
        ("RS256", hs256(&modulus, r#"{"alg":"HS256","kid":"rsa"}"#, &body()), asks("RS256")),
        ("RS256", hs256(&modulus, RS256, &body()), Err(TokenError::Signature)),
        ("RS256", hs256(token::decoded(&modulus).expect("base64"), RS256, &body()), Err(TokenError::Signature)),
        ("RS256", hs256("", RS256, &body()), Err(TokenError::Signature)),
        ("RS256", format!("{}.", unsigned(r#"{"alg":"none"}"#, &body())), asks("RS256")),
        ("RS256", format!("{}.", unsigned(RS256, &body())), Err(TokenError::Signature)),
        ("ES256", format!("{}.", unsigned(ES256, &body())), Err(TokenError::Signature)),
        // Two zeros: a signature that a careless check of ECDSA takes for everything.
        ("ES256", format!("{}.{}", unsigned(ES256, &body()), encoded([0; 64])), Err(TokenError::Signature)),
        ("ES256", es256(EC, RS256, &body()), asks("ES256")),
        ("RS256", es256(EC, RS256, &body()), Err(TokenError::Signature)),
        ("RS256", rs256(RSA, r#"{"alg":"RS256","crit":["b64"],"b64":false}"#, &body()), asks("RS256")),
    ] {
        assert_eq!(check_keys(algorithm, &all, &token), expected, "{algorithm} {token}");
    }
    let both = [("JWT_ALGORITHM", "HS256"), ("JWT_SECRET", SECRET), ("JWT_JWKS", &jwks(&all))];
    assert_eq!(check_with(&both, &rs256(RSA, RS256, &body())), asks("HS256"));
}

#[test]
fn a_key_that_a_token_brings_along_is_not_asked() {
    let header =
        json!({ "alg": "ES256", "jwk": jwk("ec-other"), "jku": "https://evil.example", "x5u": "https://evil.example" });
    let token = es256(OTHER_EC, &header.to_string(), &body());
    assert_eq!(check_keys("ES256", &[jwk("ec")], &token), Err(TokenError::Signature));
}

#[test]
fn a_signature_has_the_form_of_jwts() {
    let der = es256_in_der(EC, ES256, &body());
    assert_eq!(check_keys("ES256", &[jwk("ec")], &der), Err(TokenError::Signature));
    for token in [rs256(RSA, RS256, &body()), es256(EC, ES256, &body())] {
        let algorithm = if token.len() > 300 { "RS256" } else { "ES256" };
        let keys = [jwk("rsa"), jwk("ec")];
        assert_eq!(check_keys(algorithm, &keys, &token), ada());
        let (signed, signature) = token.rsplit_once('.').expect("three parts");
        let signature = token::decoded(signature).expect("base64");
        let longer = [&signature[..], &[0]].concat();
        let mut other = signature.clone();
        other[signature.len() - 1] ^= 1;
        for signature in [&signature[1..], &longer, &other] {
            let token = format!("{signed}.{}", encoded(signature));
            assert_eq!(check_keys(algorithm, &keys, &token), Err(TokenError::Signature), "{token}");
        }
        let tampered = unsigned(&format!(r#"{{"alg":"{algorithm}"}}"#), &with(json!({ "sub": "eve" })).to_string());
        let tampered = format!("{tampered}.{}", encoded(&signature));
        assert_eq!(check_keys(algorithm, &keys, &tampered), Err(TokenError::Signature), "{tampered}");
    }
}

#[test]
fn keys_for_other_uses_and_of_other_kinds_are_not_used() {
    let no_key = |algorithm| Err(TokenError::Configuration(ConfigurationError::NoKey(algorithm)));
    let rsa = |changes: Value| changed("rsa", changes);
    let padded = format!("AAAA{}", jwk("rsa-weak")["n"].as_str().expect("a modulus"));
    for (key, expected) in [
        (rsa(json!({})), ada()),
        (rsa(json!({ "use": null, "alg": null })), ada()),
        (rsa(json!({ "key_ops": ["sign", "verify"] })), ada()),
        (rsa(json!({ "use": "enc" })), no_key("RS256")),
        (rsa(json!({ "alg": "RS512" })), no_key("RS256")),
        (rsa(json!({ "alg": "PS256" })), no_key("RS256")),
        (rsa(json!({ "key_ops": ["encrypt"] })), no_key("RS256")),
        (rsa(json!({ "kty": "EC" })), no_key("RS256")),
        (rsa(json!({ "kty": "oct", "k": "c2VjcmV0" })), no_key("RS256")),
        (rsa(json!({ "n": null })), no_key("RS256")),
        (rsa(json!({ "e": null })), no_key("RS256")),
        (rsa(json!({ "n": "" })), no_key("RS256")),
        (jwk("rsa-weak"), no_key("RS256")),
        (rsa(json!({ "n": padded })), no_key("RS256")),
        (jwk("ec"), no_key("RS256")),
        (json!("rsa"), no_key("RS256")),
    ] {
        assert_eq!(check_keys("RS256", std::slice::from_ref(&key), &rs256(RSA, RS256, &body())), expected, "{key}");
        // One that is of no use does not keep another from being used.
        assert_eq!(check_keys("RS256", &[key.clone(), jwk("rsa")], &rs256(RSA, RS256, &body())), ada(), "{key}");
    }
    for (changes, expected) in [
        (json!({}), ada()),
        (json!({ "crv": "P-384" }), no_key("ES256")),
        (json!({ "crv": "secp256k1" }), no_key("ES256")),
        (json!({ "crv": null }), no_key("ES256")),
        (json!({ "kty": "OKP" }), no_key("ES256")),
        (json!({ "y": null }), no_key("ES256")),
        (json!({ "x": "AAAA" }), no_key("ES256")),
        // A point that is not on the curve.
        (json!({ "y": jwk("ec")["x"] }), Err(TokenError::Signature)),
    ] {
        let key = changed("ec", changes.clone());
        assert_eq!(check_keys("ES256", &[key], &es256(EC, ES256, &body())), expected, "{changes}");
    }
}

#[test]
fn a_key_that_is_too_short_is_not_found_by_its_name_either() {
    let keys = [jwk("rsa-weak"), jwk("rsa")];
    let token = rs256(RSA, &naming("RS256", "rsa-weak"), &body());
    assert_eq!(check_keys("RS256", &keys, &token), Err(TokenError::UnknownKey));
}

#[test]
fn a_set_that_is_none_lets_nobody_in() {
    let token = rs256(RSA, RS256, &body());
    let many = jwks(&vec![jwk("rsa"); MAX_KEYS + 1]);
    for (set, expected) in [
        ("", ConfigurationError::NoKeySet),
        ("x", ConfigurationError::KeySet),
        ("[]", ConfigurationError::KeySet),
        ("{}", ConfigurationError::KeySet),
        (r#"{"keys":{}}"#, ConfigurationError::KeySet),
        (&*jwk("rsa").to_string(), ConfigurationError::KeySet),
        (r#"{"keys":[]}"#, ConfigurationError::NoKey("RS256")),
        (&many, ConfigurationError::TooManyKeys { count: MAX_KEYS + 1 }),
    ] {
        let vars = [("JWT_ALGORITHM", "RS256"), ("JWT_JWKS", set), ("JWT_SECRET", SECRET)];
        assert_eq!(check_with(&vars, &token), Err(expected.into()), "{set}");
    }
    assert_eq!(check_keys("RS256", &vec![jwk("rsa"); MAX_KEYS], &token), ada());
}
