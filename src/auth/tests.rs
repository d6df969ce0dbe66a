use durable_agents::http::{HeaderValue, header};
use serde_json::{Value, json};

use super::*;

const NOW_S: u64 = 1_800_000_000;
const SECRET: &str = "a secret of at least thirty-two bytes";

type Vars<'a> = &'a [(&'a str, &'a str)];

fn tokens(vars: Vars<'_>) -> Result<Tokens, TokenError> {
    Tokens::configured(|name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned()))
}

fn check_with(vars: Vars<'_>, token: &str) -> Result<User, TokenError> {
    tokens(vars)?.check(token, NOW_S * 1_000)
}

fn check(token: &str) -> Result<User, TokenError> {
    check_with(&[("JWT_SECRET", SECRET)], token)
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn signed_with(secret: &str, header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", encoded(header), encoded(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("any length");
    mac.update(signed.as_bytes());
    format!("{signed}.{}", encoded(mac.finalize().into_bytes()))
}

fn jwt(claims: &Value) -> String {
    signed_with(SECRET, r#"{"alg":"HS256","typ":"JWT"}"#, &claims.to_string())
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW_S + 600 })
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

#[test]
fn the_example_of_rfc_7515_has_the_right_signature() {
    // RFC 7515 A.1; its claims name no user, and its key is given in base64.
    let key = "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
    let key = Key::Hs256(Hmac::new_from_slice(&decoded(key).expect("base64")).expect("any length"));
    let signed = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9\
        .eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
    let signature = decoded("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").expect("base64");
    let (header, _) = signed.split_once('.').expect("two parts");
    assert_eq!(key.check_header(&part(header).expect("a header")), Ok(()));
    assert_eq!(key.check_signature(signed, &signature), Ok(()));
}

#[test]
fn a_good_token_names_user_role_and_scopes() {
    for (claims, expected) in [
        (claims(), user_of("ada", "user", &[])),
        (with(json!({ "role": "admin" })), user_of("ada", "admin", &[])),
        (with(json!({ "scope": " hub:publish  hub:metrics" })), user_of("ada", "user", &["hub:publish", "hub:metrics"])),
        (with(json!({ "iss": "x", "aud": "y", "iat": 1, "jti": "z", "more": [1] })), user_of("ada", "user", &[])),
    ] {
        assert_eq!(check(&jwt(&claims)), Ok(expected), "{claims}");
    }
}

#[test]
fn times_hold_with_a_minute_of_leeway() {
    for (changes, expected) in [
        (json!({ "exp": NOW_S - 59 }), None),
        (json!({ "exp": NOW_S - 60 }), Some(TokenError::Expired)),
        (json!({ "exp": NOW_S as f64 - 59.5 }), None),
        (json!({ "exp": -1 }), Some(TokenError::Expired)),
        (json!({ "exp": 1e300 }), None),
        (json!({ "exp": null }), Some(TokenError::Claim("exp"))),
        (json!({ "exp": (NOW_S + 600).to_string() }), Some(TokenError::Malformed)),
        (json!({ "nbf": NOW_S + 60 }), None),
        (json!({ "nbf": NOW_S + 61 }), Some(TokenError::NotYet)),
        (json!({ "nbf": NOW_S - 600 }), None),
        (json!({ "nbf": "soon" }), Some(TokenError::Malformed)),
    ] {
        assert_eq!(check(&jwt(&with(changes.clone()))).err(), expected, "{changes}");
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
        assert_eq!(check(&jwt(&with(changes.clone()))).err(), expected, "{changes}");
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
        assert_eq!(check(&signed_with(SECRET, header, &claims().to_string())), Err(expected.clone()), "{header}");
        let unsigned = format!("{}.{}.", encoded(header), encoded(claims().to_string()));
        assert_eq!(check(&unsigned), Err(expected.clone()), "{header}");
    }
}

#[test]
fn one_changed_byte_is_a_wrong_signature() {
    let token = jwt(&with(json!({ "role": "user" })));
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    let other = jwt(&with(json!({ "role": "admin" })));
    let (forged, _) = other.rsplit_once('.').expect("three parts");
    let mut bytes = decoded(signature).expect("base64");
    bytes[0] ^= 1;
    for token in [
        format!("{forged}.{signature}"),
        format!("{signed}.{}", encoded(&bytes)),
        format!("{signed}.{}", encoded(&bytes[..31])),
        format!("{signed}."),
        signed_with("another secret", r#"{"alg":"HS256"}"#, &claims().to_string()),
        signed_with("", r#"{"alg":"HS256"}"#, &claims().to_string()),
    ] {
        assert_eq!(check(&token), Err(TokenError::Signature), "{token}");
    }
}

#[test]
fn what_is_no_jwt_is_refused() {
    let good = jwt(&claims());
    let long = "x".repeat(MAX_TOKEN_BYTES + 1);
    let list = signed_with(SECRET, r#"{"alg":"HS256"}"#, r#"["ada",9999999999,null,null,null,null,null]"#);
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
        (&signed_with(SECRET, r#"["HS256",null]"#, &claims().to_string()), TokenError::Malformed),
        (&signed_with(SECRET, "{}", &claims().to_string()), TokenError::Malformed),
        (&signed_with(SECRET, r#"{"alg":"HS256"}"#, "no json"), TokenError::Malformed),
        (&list, TokenError::Malformed),
        (&long, TokenError::TooLong { size_bytes: MAX_TOKEN_BYTES + 1 }),
    ] {
        assert_eq!(check(token), Err(expected), "{token}");
    }
}

#[test]
fn without_a_usable_configuration_nobody_comes_in() {
    let good = jwt(&claims());
    let no_secret = TokenError::Configuration(ConfigurationError::NoSecret);
    let algorithm = |name: &str| TokenError::Configuration(ConfigurationError::Algorithm(name.to_owned()));
    for (vars, token, expected) in [
        (&[][..], &*good, no_secret.clone()),
        (&[("JWT_SECRET", "")], &signed_with("", r#"{"alg":"HS256"}"#, &claims().to_string()), no_secret.clone()),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS256")], &good, algorithm("RS256")),
        (&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "none")], &good, algorithm("none")),
        (&[("DEV_TOKENS", "true"), ("JWT_ALGORITHM", "ES256")], "dev:ada", algorithm("ES256")),
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
        let mut request = Request::get(url);
        if let Some(value) = authorization {
            request.set_header(header::AUTHORIZATION, HeaderValue::from_static(value));
        }
        assert_eq!(token_of(&request).as_deref(), expected, "{authorization:?} {url}");
    }
}

#[test]
fn the_log_tells_operators_what_to_mend() {
    let lines = |vars: Vars<'_>| {
        let found = remarks(|name| vars.iter().find(|(var, _)| *var == name).map(|(_, value)| (*value).to_owned()));
        found.into_iter().map(|(level, line)| format!("{level:?} {line}")).collect::<Vec<_>>()
    };
    assert_eq!(lines(&[("JWT_SECRET", SECRET)]), [""; 0]);
    assert_eq!(lines(&[("JWT_SECRET", "short")]), ["Warn JWT_SECRET has 5 bytes, HS256 asks for 32 or more"]);
    assert_eq!(lines(&[("DEV_TOKENS", "true")]), ["Warn DEV_TOKENS is on: anybody may sign in as anybody"]);
    assert_eq!(lines(&[]), ["Error no token will be accepted: configuration: secret JWT_SECRET is not set"]);
    assert_eq!(
        lines(&[("JWT_SECRET", SECRET), ("JWT_ALGORITHM", "RS256")]),
        ["Error no token will be accepted: configuration: JWT_ALGORITHM \"RS256\" is not supported, use HS256"]
    );
}

#[test]
fn debug_output_holds_no_secret() {
    let tokens = tokens(&[("JWT_SECRET", SECRET), ("JWT_ISSUER", "https://id.example")]).expect("configured");
    assert_eq!(format!("{tokens:?}"), "Tokens { development: false, .. }");
}
