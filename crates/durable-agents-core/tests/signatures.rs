//! Signatures of others: the same check in an agent and around it.

#![allow(clippy::expect_used, clippy::panic, reason = "agents and helpers of tests are part of the tests")]

mod common;

use common::agent;
use durable_agents_core::host::Surroundings;
use durable_agents_core::http::{Request, Response};
use durable_agents_core::signature::VerifyingKey;
use durable_agents_core::testing::MemoryHost;
use durable_agents_core::{Context, Result};
use futures::executor::block_on;

// RFC 4231, test case 2.
const DATA: &[u8] = b"what do ya want for nothing?";
const TAG: [u8; 32] = [
    0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7, 0x5a, 0x00, 0x3f, 0x08,
    0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
];

fn key() -> VerifyingKey {
    VerifyingKey::HmacSha256 { secret: b"Jefe".to_vec() }
}

agent!(Checker: (), (), ();
    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        let tag = request.bytes().await?;
        Ok(Response::text(cx.host().verify(&key(), DATA, &tag).await?.to_string()))
    }
);

#[test]
fn a_signature_is_right_to_the_last_byte() {
    let host = MemoryHost::new();
    let checker = host.agent::<Checker>("a");
    let mut wrong = TAG.to_vec();
    wrong.iter_mut().last().into_iter().for_each(|byte| *byte ^= 1);
    for (tag, expected) in
        [(TAG.to_vec(), true), (wrong, false), (TAG.iter().take(31).copied().collect(), false), (Vec::new(), false)]
    {
        assert_eq!(block_on(host.verify(&key(), DATA, &tag)), Ok(expected), "around: {tag:?}");
        assert_eq!(checker.post("", "text/plain", tag.clone()).text(), expected.to_string(), "inside: {tag:?}");
    }
}

#[test]
fn a_point_that_is_on_no_curve_has_signed_nothing() {
    let key = VerifyingKey::EcdsaP256Sha256 { x: [1; 32], y: [1; 32] };
    assert_eq!(block_on(MemoryHost::new().verify(&key, DATA, &[1; 64])), Ok(false));
}

#[test]
fn a_key_is_not_printed() {
    assert_eq!(format!("{:?}", key()), "HmacSha256");
}
