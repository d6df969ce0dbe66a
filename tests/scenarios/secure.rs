//! What strangers, users and admins get from a secure agent.

use std::time::Duration;

use agents_worker::secure::{MAX_ANNOUNCEMENT_BYTES, MAX_MESSAGE_BYTES, SecureAgent};
use durable_agents::http::{HeaderValue, Request, StatusCode};
use durable_agents::testing::{Client, MemoryHost, Object};
use durable_agents::{Close, PROPS_HEADER};
use serde_json::{Value, json};

use crate::tokens::{EC, OTHER_EC, RSA, SECRET, es256, jwk, jwks, jwt, rs256};

/// All scenarios of this file, for `$each!`.
macro_rules! secure_scenarios {
    ($each:ident) => {
        $each! {
            a_user_is_told_who_they_are_after_the_protocol_frames
            a_token_may_come_in_a_header
            a_stranger_is_shown_out_and_sees_nothing
            a_jwt_is_good_until_a_minute_after_it_expired
            tokens_of_an_issuer_are_checked_with_its_public_keys
            the_role_is_the_tokens_and_nobody_elses
            a_notice_of_an_admin_reaches_the_admins_only
            a_notice_of_anybody_else_is_forbidden
            an_id_that_is_called_admin_makes_nobody_one
            anything_else_is_refused
            admins_announce_and_the_others_read
            an_announcement_is_bounded
            admins_hear_that_something_failed
            it_has_nothing_over_http
        }
    };
}
pub(crate) use secure_scenarios;

/// An agent on a developer's machine.
fn vault(host: &MemoryHost) -> Object {
    host.set_var("DEV_TOKENS", "true");
    host.agent::<SecureAgent>("vault")
}

fn authenticated(id: &str, role: &str) -> Value {
    json!({ "type": "authenticated", "user": { "id": id, "role": role } })
}

fn notice(message: &str) -> Value {
    json!({ "type": "admin_notice", "message": message })
}

fn error(message: &str) -> Value {
    json!({ "type": "error", "message": message })
}

/// Connects with a development token, and puts the frames of the connect aside.
fn sign_in(vault: &Object, token: &str) -> Client {
    let mut client = vault.connect(&format!("?token=dev:{token}"));
    assert_eq!(client.next_json()["type"], "authenticated");
    client
}

pub(crate) fn a_user_is_told_who_they_are_after_the_protocol_frames(host: &MemoryHost) {
    let mut ada = vault(host).connect("?token=dev:ada");
    let types: Vec<Value> =
        ada.greeting().iter().map(|frame| serde_json::from_str::<Value>(frame).expect("JSON")["type"].clone()).collect();
    assert_eq!(types, ["cf_agent_identity", "cf_agent_mcp_servers"]);
    assert_eq!(ada.next_json(), authenticated("ada", "user"));
    ada.expect_no_frame();
}

pub(crate) fn a_token_may_come_in_a_header(host: &MemoryHost) {
    let mut ada = vault(host).dial("").header("authorization", "Bearer dev:ada:admin").connect();
    assert_eq!(ada.next_json(), authenticated("ada", "admin"));
}

pub(crate) fn a_stranger_is_shown_out_and_sees_nothing(host: &MemoryHost) {
    let vault = vault(host);
    let mut admin = sign_in(&vault, "root:admin");
    admin.set_state(&json!({ "announcement": "secret" }));
    for query in ["", "?token=", "?token=ada", "?token=dev:", "?token=a.b.c", "?role=admin", "?userId=ada"] {
        let mut stranger = vault.connect(query);
        let unauthorized = Close { code: 4001, reason: "Unauthorized".to_owned(), was_clean: true };
        assert_eq!(stranger.close_event(), unauthorized, "{query}");
        assert_eq!(stranger.greeting(), [""; 0], "{query}");
        stranger.expect_no_frame();
    }
    admin.expect_no_frame();
}

pub(crate) fn a_jwt_is_good_until_a_minute_after_it_expired(host: &MemoryHost) {
    host.set_var("JWT_SECRET", SECRET);
    let vault = host.agent::<SecureAgent>("vault");
    let token = jwt(&json!({ "sub": "ada", "role": "editor", "exp": host.now_ms() / 1_000 + 10 }));
    for (wait_s, is_good) in [(0, true), (69, true), (1, false)] {
        host.advance(Duration::from_secs(wait_s));
        let mut ada = vault.connect(&format!("?token={token}"));
        if is_good {
            assert_eq!(ada.next_json(), authenticated("ada", "editor"));
        } else {
            assert_eq!(ada.close_event().code, 4001);
        }
    }
    assert_eq!(vault.connect("?token=dev:ada").close_event().code, 4001, "not on this machine");
}

pub(crate) fn tokens_of_an_issuer_are_checked_with_its_public_keys(host: &MemoryHost) {
    host.set_var("JWT_JWKS", &jwks(&[jwk("rsa"), jwk("ec")]));
    let claims = json!({ "sub": "ada", "role": "editor", "exp": host.now_ms() / 1_000 + 600 }).to_string();
    let (of_rsa, of_ec) = (rs256(RSA, r#"{"alg":"RS256"}"#, &claims), es256(EC, r#"{"alg":"ES256"}"#, &claims));
    let forged = es256(OTHER_EC, r#"{"alg":"ES256"}"#, &claims);
    for (algorithm, good, bad) in [("RS256", &of_rsa, &of_ec), ("ES256", &of_ec, &of_rsa), ("ES256", &of_ec, &forged)] {
        host.set_var("JWT_ALGORITHM", algorithm);
        let vault = host.agent::<SecureAgent>("vault");
        assert_eq!(vault.connect(&format!("?token={good}")).next_json(), authenticated("ada", "editor"), "{algorithm}");
        assert_eq!(vault.connect(&format!("?token={bad}")).close_event().code, 4001, "{algorithm}");
    }
}

pub(crate) fn the_role_is_the_tokens_and_nobody_elses(host: &MemoryHost) {
    let vault = vault(host);
    for (query, role) in [
        ("?token=dev:ada&role=admin", "user"),
        ("?token=dev:ada:editor&role=admin", "editor"),
        ("?token=dev:ada:admin&role=user", "admin"),
        ("?token=dev:ada:hub:publish,admin", "hub:publish"),
    ] {
        assert_eq!(vault.connect(query).next_json(), authenticated("ada", role), "{query}");
    }
}

pub(crate) fn a_notice_of_an_admin_reaches_the_admins_only(host: &MemoryHost) {
    let vault = vault(host);
    let mut ada = sign_in(&vault, "ada:admin");
    let mut eve = sign_in(&vault, "eve:admin");
    let mut bob = sign_in(&vault, "bob");
    ada.send_json(&json!({ "type": "admin_notice", "message": "hello", "more": 1 }));
    assert_eq!(ada.next_json(), notice("hello"));
    assert_eq!(eve.next_json(), notice("hello"));
    for client in [&mut ada, &mut eve, &mut bob] {
        client.expect_no_frame();
    }
}

pub(crate) fn a_notice_of_anybody_else_is_forbidden(host: &MemoryHost) {
    let vault = vault(host);
    let mut admin = sign_in(&vault, "root:admin");
    for token in ["bob", "bob:user", "bob:Admin", "bob:editor,admin"] {
        let mut bob = sign_in(&vault, token);
        bob.send_json(&notice("let me in"));
        assert_eq!(bob.next_json(), error("Forbidden"), "{token}");
    }
    admin.expect_no_frame();
}

pub(crate) fn an_id_that_is_called_admin_makes_nobody_one(host: &MemoryHost) {
    let vault = vault(host);
    let mut admin = sign_in(&vault, "root:admin");
    let mut bob = sign_in(&vault, "bob&_pk=admin");
    admin.send_json(&notice("for admins"));
    assert_eq!(admin.next_json(), notice("for admins"));
    bob.expect_no_frame();
}

pub(crate) fn anything_else_is_refused(host: &MemoryHost) {
    let vault = vault(host);
    let mut admin = sign_in(&vault, "root:admin");
    for text in ["", "hello", "{}", "null", r#"{"type":"admin_notice"}"#, r#"{"type":"admin_notice","message":1}"#] {
        admin.send(text);
        assert_eq!(admin.next_json(), error("Invalid message format"), "{text}");
    }
    admin.send(notice("in bytes").to_string().into_bytes());
    assert_eq!(admin.next_json(), error("Invalid message format"));
    admin.send_json(&notice(&"x".repeat(MAX_MESSAGE_BYTES)));
    assert_eq!(admin.next_json(), error("Invalid message format"));
}

pub(crate) fn admins_announce_and_the_others_read(host: &MemoryHost) {
    let vault = vault(host);
    let (mut admin, mut bob) = (sign_in(&vault, "root:admin"), sign_in(&vault, "bob"));
    let state = json!({ "type": "cf_agent_state", "state": { "announcement": "closed on Sunday" } });
    admin.send_json(&state);
    assert_eq!(bob.next_json(), state);
    bob.set_state(&json!({ "announcement": "open on Sunday" }));
    assert_eq!(bob.next_json(), json!({ "type": "cf_agent_state_error", "error": "Connection is readonly" }));
    admin.expect_no_frame();
    let mut late = vault.connect("?token=dev:late");
    assert_eq!(serde_json::from_str::<Value>(&late.greeting()[1]).expect("JSON"), state);
}

pub(crate) fn an_announcement_is_bounded(host: &MemoryHost) {
    let vault = vault(host);
    let (mut admin, mut bob) = (sign_in(&vault, "root:admin"), sign_in(&vault, "bob"));
    admin.set_state(&json!({ "announcement": "x".repeat(MAX_ANNOUNCEMENT_BYTES + 1) }));
    assert_eq!(admin.next_json(), json!({ "type": "cf_agent_state_error", "error": "State update rejected" }));
    bob.expect_no_frame();
    admin.set_state(&json!({ "announcement": "x".repeat(MAX_ANNOUNCEMENT_BYTES) }));
    assert_eq!(bob.next_json()["type"], "cf_agent_state");
}

pub(crate) fn admins_hear_that_something_failed(host: &MemoryHost) {
    let vault = vault(host);
    let (mut admin, mut bob) = (sign_in(&vault, "root:admin"), sign_in(&vault, "bob"));
    // A caller with props that this agent does not know keeps it from starting.
    vault.evict();
    let request = Request::get(&vault.url("")).with_header(PROPS_HEADER, HeaderValue::from_static("{}"));
    assert_eq!(vault.request(request).status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(admin.next_json(), notice("Something failed in this agent: see its log"));
    bob.expect_no_frame();
    // The next one starts it.
    bob.send_json(&notice("hello"));
    assert_eq!(bob.next_json(), error("Forbidden"));
}

pub(crate) fn it_has_nothing_over_http(host: &MemoryHost) {
    assert_eq!(vault(host).get("?token=dev:ada").status, StatusCode::NOT_FOUND);
}
