use durable_agents::http::Url;
use durable_agents::testing::MemoryHost;
use futures::FutureExt as _;
use serde_json::{Value, json};

use super::*;

mod key_sets;
#[path = "../../tests/support/tokens.rs"]
mod tokens;
use tokens::{SECRET, encoded, hs256, jwk, jwks, jwt};

/// When these tokens are looked at: the moment at which every world begins.
fn now_s() -> u64 {
    MemoryHost::new().now_ms() / 1_000
}

type Vars<'a> = &'a [(&'a str, &'a str)];

fn worker(vars: Vars<'_>) -> MemoryHost {
    let host = MemoryHost::new();
    for (name, value) in vars {
        host.set_var(name, value);
    }
    host
}

fn check_with(vars: Vars<'_>, token: &str) -> Result<User, TokenError> {
    check(&worker(vars), Some(token)).now_or_never().expect("nothing to wait for")
}

fn check_hs256(token: &str) -> Result<User, TokenError> {
    check_with(&[("JWT_SECRET", SECRET)], token)
}

/// Checks with these public keys.
fn check_keys(algorithm: &str, keys: &[Value], token: &str) -> Result<User, TokenError> {
    check_with(&[("JWT_ALGORITHM", algorithm), ("JWT_JWKS", &jwks(keys))], token)
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": now_s() + 600 })
}

/// `claims` with some of them changed; `null` takes one away.
fn with(changes: Value) -> Value {
    let mut claims = claims();
    let (Value::Object(claims_map), Value::Object(changes)) = (&mut claims, changes) else { panic!("objects") };
    for (name, value) in changes {
        if value.is_null() {
            claims_map.remove(&name);
        } else {
            claims_map.insert(name, value);
        }
    }
    claims
}

fn user_of(id: &str, role: &str, scopes: &[&str]) -> User {
    User { id: id.to_owned(), role: role.to_owned(), scopes: scopes.iter().map(|&scope| scope.to_owned()).collect() }
}

/// A key of the set as the issuer publishes it, with some members changed; `null` takes one away.
fn changed(name: &str, changes: Value) -> Value {
    let (mut key, Value::Object(changes)) = (jwk(name), changes) else { panic!("an object") };
    for (member, value) in changes {
        match value {
            Value::Null => drop(key.as_object_mut().expect("a key").remove(&member)),
            value => key[member] = value,
        }
    }
    key
}

#[test]
fn a_good_token_names_user_role_and_scopes() {
    for (claims, expected) in [
        (claims(), user_of("ada", "user", &[])),
        (with(json!({ "role": "admin" })), user_of("ada", "admin", &[])),
        (with(json!({ "scope": " hub:publish  hub:metrics" })), user_of("ada", "user", &["hub:publish", "hub:metrics"])),
        (with(json!({ "iss": "x", "aud": "y", "iat": 1, "jti": "z", "more": [1] })), user_of("ada", "user", &[])),
    ] {
        assert_eq!(check_hs256(&jwt(&claims)), Ok(expected), "{claims}");
    }
}

#[test]
fn times_hold_with_a_minute_of_leeway() {
    for (changes, expected) in [
        (json!({ "exp": now_s() - 59 }), None),
        (json!({ "exp": now_s() - 60 }), Some(TokenError::Expired)),
        (json!({ "exp": now_s() as f64 - 59.5 }), None),
        (json!({ "exp": -1 }), Some(TokenError::Expired)),
        (json!({ "exp": 1e300 }), None),
        (json!({ "exp": null }), Some(TokenError::Claim("exp"))),
        (json!({ "exp": (now_s() + 600).to_string() }), Some(TokenError::Malformed)),
        (json!({ "nbf": now_s() + 60 }), None),
        (json!({ "nbf": now_s() + 61 }), Some(TokenError::NotYet)),
        (json!({ "nbf": now_s() - 600 }), None),
        (json!({ "nbf": "soon" }), Some(TokenError::Malformed)),
    ] {
        assert_eq!(check_hs256(&jwt(&with(changes.clone()))).err(), expected, "{changes}");
    }
}

#[test]
fn issuer_and_audience_count_where_they_are_configured() {
    let vars: Vars<'_> = &[("JWT_SECRET", SECRET), ("JWT_ISSUER", "https://id.example"), ("JWT_AUDIENCE", "agents")];
    for (changes, expected) in [
        (json!({ "iss": "https://id.example", "aud": "agents" }), None),
        (json!({ "iss": "https://id.example", "aud": ["x", "agents"] }), None),
        (json!({ "iss": "https://id.example/", "aud": "agents" }), Some(TokenError::Issuer)),
        (json!({ "aud": "agents" }), Some(TokenError::Issuer)),
        (json!({ "iss": "https://id.example", "aud": "agents2" }), Some(TokenError::Audience)),
        (json!({ "iss": "https://id.example", "aud": [] }), Some(TokenError::Audience)),
        (json!({ "iss": "https://id.example" }), Some(TokenError::Audience)),
        (json!({ "iss": ["https://id.example"], "aud": "agents" }), Some(TokenError::Malformed)),
        (json!({ "iss": "https://id.example", "aud": 1 }), Some(TokenError::Malformed)),
    ] {
        assert_eq!(check_with(vars, &jwt(&with(changes.clone()))).err(), expected, "{changes}");
    }
}

#[test]
fn user_and_role_are_there_and_bounded() {
    for (changes, expected) in [
        (json!({ "sub": null }), Some(TokenError::Claim("sub"))),
        (json!({ "sub": "" }), Some(TokenError::Claim("sub"))),
        (json!({ "sub": 7 }), Some(TokenError::Malformed)),
        (json!({ "sub": "x".repeat(MAX_USER_ID_BYTES) }), None),
        (json!({ "sub": "x".repeat(MAX_USER_ID_BYTES + 1) }), Some(TokenError::Claim("sub"))),
        (json!({ "sub": "a\nb" }), Some(TokenError::Claim("sub"))),
        (json!({ "role": "" }), Some(TokenError::Claim("role"))),
        (json!({ "role": "x".repeat(MAX_ROLE_BYTES + 1) }), Some(TokenError::Claim("role"))),
        (json!({ "role": ["admin"] }), Some(TokenError::Malformed)),
    ] {
        assert_eq!(check_hs256(&jwt(&with(changes.clone()))).err(), expected, "{changes}");
    }
}

#[test]
fn the_algorithm_is_the_configured_one_whatever_the_token_says() {
    let expected = TokenError::Algorithm { expected: "HS256" };
    for header in [
        r#"{"alg":"none"}"#,
        r#"{"alg":"None"}"#,
        r#"{"alg":"hs256"}"#,
        r#"{"alg":"HS384"}"#,
        r#"{"alg":"RS256"}"#,
        r#"{"alg":""}"#,
        r#"{"alg":"HS256","crit":["exp"]}"#,
    ] {
        assert_eq!(check_hs256(&hs256(SECRET, header, &claims().to_string())), Err(expected.clone()), "{header}");
        let unsigned = format!("{}.{}.", encoded(header), encoded(claims().to_string()));
        assert_eq!(check_hs256(&unsigned), Err(expected.clone()), "{header}");
    }
}

#[test]
fn one_changed_byte_is_a_wrong_signature() {
    let token = jwt(&with(json!({ "role": "user" })));
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other = jwt(&with(json!({ "role": "admin" })));
    let (forged, _) = other.rsplit_once('.').expect("three parts");
    let mut bytes = token::decoded(signature).expect("base64");
    bytes[0] ^= 1;
    for token in [
        format!("{forged}.{signature}"),
        format!("{signed}.{}", encoded(&bytes)),
        format!("{signed}.{}", encoded(&bytes[..31])),
        format!("{signed}."),
        hs256("another secret", r#"{"alg":"HS256"}"#, &claims().to_string()),
        hs256("", r#"{"alg":"HS256"}"#, &claims().to_string()),
    ] {
        assert_eq!(check_hs256(&token), Err(TokenError::Signature), "{token}");
    }
}

#[test]
fn what_is_no_jwt_is_refused() {
    let good = jwt(&claims());
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    let list = hs256(SECRET, r#"{"alg":"HS256"}"#, r#"["ada",9999999999,null,null,null,null,null]"#);
    for (token, expected) in [
        ("", TokenError::Malformed),
        (".", TokenError::Malformed),
        ("..", TokenError::Malformed),
        ("a.b.c", TokenError::Malformed),
        ("null", TokenError::Malformed),
        (&*format!("{good}.{good}"), TokenError::Signature),
        (&format!("{good}="), TokenError::Malformed),
        (&format!(" {good}"), TokenError::Malformed),
        (&good.replace('.', ":"), TokenError::Malformed),
        (&hs256(SECRET, r#"["HS256",null]"#, &claims().to_string()), TokenError::Malformed),
        (&hs256(SECRET, "{}", &claims().to_string()), TokenError::Malformed),
        (&hs256(SECRET, r#"{"alg":"HS256"}"#, "no json"), TokenError::Malformed),
        (&list, TokenError::Malformed),
        (&long, TokenError::TooLong { size_bytes: MAX_TOKEN_BYTES + 1 }),
    ] {
        assert_eq!(check_hs256(token), Err(expected), "{token}");
    }
}

#[test]
fn without_a_usable_configuration_nobody_comes_in() {
    let good = jwt(&claims());
    let no_secret = TokenError::Configuration(ConfigurationError::NoSecret);
    let algorithm = |name: &str| TokenError::Configuration(ConfigurationError::Algorithm(name.to_owned()));
    for (vars, token, expected) in [
        (&[][..], &*good, no_secret.clone()),
        (&[("JWT_SECRET", "")], &hs256("", r#"{"alg":"HS256"}"#, &claims().to_string()), no_secret.clone()),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "HS512")], &good, algorithm("HS512")),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "hs256")], &good, algorithm("hs256")),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "none")], &good, algorithm("none")),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS256")], &good, ConfigurationError::NoKeySet.into()),
        (&[("DEV_TOKENS", "true")], &good, no_secret.clone()),
    ] {
        assert_eq!(check_with(vars, token), Err(expected), "{vars:?}");
    }
    assert!(check_with(&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "HS256"), ("JWT_ISSUER", "")], &good).is_ok());
}

#[test]
fn development_tokens_count_only_where_they_are_switched_on() {
    for (token, expected) in [
        ("dev:ada", Ok(user_of("ada", "user", &[]))),
        ("dev:ada:", Ok(user_of("ada", "user", &[]))),
        ("dev:ada:admin", Ok(user_of("ada", "admin", &["admin"]))),
        ("dev:ci:hub:publish,hub:metrics", Ok(user_of("ci", "hub:publish", &["hub:publish", "hub:metrics"]))),
        ("dev:", Err(TokenError::Claim("sub"))),
        ("dev::admin", Err(TokenError::Claim("sub"))),
        ("DEV:ada", Err(TokenError::Malformed)),
    ] {
        assert_eq!(check_with(&[("JWT_SECRET", SECRET), ("DEV_TOKENS", "true")], token), expected, "{token}");
    }
    for off in ["", "false", "1", "TRUE", "yes"] {
        let vars: Vars<'_> = &[("JWT_SECRET", SECRET), ("DEV_TOKENS", off)];
        assert_eq!(check_with(vars, "dev:ada"), Err(TokenError::Malformed), "{off}");
    }
    assert!(check_with(&[("JWT_SECRET", SECRET), ("DEV_TOKENS", "true")], &jwt(&claims())).is_ok());
}

#[test]
fn a_token_comes_in_a_header_or_else_in_the_query() {
    for (authorization, url, expected) in [
        (Some("Bearer abc"), "/?token=other", Some("abc")),
        (Some("bearer  abc"), "/", Some("abc")),
        (Some("Basic abc"), "/?token=other", Some("other")),
        (Some("Bearer"), "/?token=a%2Bb", Some("a+b")),
        (Some("Bearer "), "/", None),
        (None, "/?token=", None),
        (None, "/", None),
    ] {
        assert_eq!(token_of(authorization, &Url::parse(url)).as_deref(), expected, "{authorization:?} {url}");
    }
}

#[test]
fn the_log_tells_operators_what_to_mend() {
    let lines = |vars: Vars<'_>| {
        let host = worker(vars);
        let found = Tokens::configured(&host).remarks();
        found.into_iter().map(|(level, line)| format!("{level:?} {line}")).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[("JWT_SECRET", SECRET)]), [""; 0]);
    assert_eq!(lines(&[("JWT_SECRET", "short")]), ["Warn JWT_SECRET has 5 bytes, HS256 asks for 32 or more"]);
    assert_eq!(lines(&[("DEV_TOKENS", "true")]), ["Warn DEV_TOKENS is on: anybody may sign in as anybody"]);
    assert_eq!(lines(&[]), ["Error no token will be accepted: configuration: secret JWT_SECRET is not set"]);
    assert_eq!(
        lines(&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS512"), ("DEV_TOKENS", "true")]),
        [
            "Warn DEV_TOKENS is on: anybody may sign in as anybody",
            "Error no token will be accepted: configuration: JWT_ALGORITHM \"RS512\" is not supported, use HS256, RS256 or ES256",
        ]
    );
    let keys = jwks(&[json!(7), jwk("rsa-weak"), changed("rsa", json!({ "n": "?", "kid": null })), jwk("rsa"), jwk("ec")]);
    assert_eq!(
        lines(&[("JWT_ALGORITHM", "RS256"), ("JWT_JWKS", &keys)]),
        [
            "Warn a key of JWT_JWKS is not used: \"rsa-weak\" has 2047 bits, RS256 asks for 2048 or more",
            "Warn a key of JWT_JWKS is not used: it has no usable \"n\"",
        ]
    );
}

#[test]
fn debug_output_holds_no_secret() {
    let host = worker(&[("JWT_SECRET", SECRET), ("JWT_ISSUER", "https://id.example")]);
    let tokens = Tokens::configured(&host);
    assert_eq!(format!("{tokens:?}"), "Tokens { development: false, .. }");
}
