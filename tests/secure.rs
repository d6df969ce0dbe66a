//! SecureAgent: who gets in, and what they may do.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use agents_worker::secure::SecureAgent;
use durable_agents::testing::MemoryHost;
use serde_json::json;

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/secure.rs"]
mod scenarios;
#[path = "support/tokens.rs"]
mod tokens;
use plain::plain;

scenarios::secure_scenarios!(plain);

#[test]
fn the_log_says_that_development_tokens_are_on_and_never_holds_a_token() {
    let host = MemoryHost::new();
    host.set_var("DEV_TOKENS", "true");
    host.set_var("JWT_SECRET", tokens::SECRET);
    let vault = host.agent::<SecureAgent>("vault");
    vault.connect("?token=dev:ada");
    vault.connect("?token=hush-hush");
    let log = host.log().join("\n");
    assert!(log.contains("DEV_TOKENS is on: anybody may sign in as anybody"), "{log}");
    assert!(log.contains("token refused: token is no JWT"), "{log}");
    assert!(!log.contains("dev:ada") && !log.contains("hush-hush"), "{log}");
}

#[test]
fn without_a_secret_nobody_gets_in_and_the_log_says_why() {
    let host = MemoryHost::new();
    let vault = host.agent::<SecureAgent>("vault");
    let token = tokens::jwt(&json!({ "sub": "ada", "exp": host.now_ms() / 1_000 + 600 }));
    assert_eq!(vault.connect(&format!("?token={token}")).close_event().code, 4001);
    let log = host.log().join("\n");
    assert!(log.contains("no token will be accepted: configuration: secret JWT_SECRET is not set"), "{log}");
}
