//! How much a client may send, whatever leaves memory in between.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "agents and helpers of tests are part of the tests"
)]

mod common;

use std::time::Duration;

use common::agent;
use durable_agents_core::http::Request;
use durable_agents_core::limits::{Limiter, Limits, Policy, Rate, Reason, TokenBucket};
use durable_agents_core::testing::for_every_eviction;
use durable_agents_core::{Connection, Context, Message, Result};
use proptest::prelude::*;
use serde_json::json;

const LIMITS: Limits = Limits::new()
    .messages(Rate::per_second(3, 1))
    .bytes(Rate::per_second(200, 20))
    .max_message_bytes(100)
    .strikes(3)
    .strike_expiry(Duration::from_secs(60));

/// An agent that echoes within limits.
macro_rules! echo {
    ($name:ident, $limits:expr) => {
        agent!($name: u32, String, ();
            fn initial_state(&self) -> Option<u32> {
                Some(0)
            }

            async fn on_connect(&self, _: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
                Ok(connection.set_state(request.url().query_param("state").unwrap_or_default().into_owned())?)
            }

            fn should_handle_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: &Message) -> Result<bool> {
                Ok(connection.enforce(&$limits, message)?)
            }

            async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
                if message.as_text() == Some("state") {
                    connection.send(connection.state()?.map(|state| String::clone(&state)).unwrap_or_default())?;
                    return Ok(());
                }
                Ok(connection.send(message)?)
            }
        );
    };
}

echo!(Telling, LIMITS);
echo!(Dropping, LIMITS.policy(Policy::Drop).strikes(0));
echo!(Closing, LIMITS.policy(Policy::Close));

const TOO_MANY: &str = r#"{"error":"Too many messages"}"#;

#[test]
fn the_bucket_empties_and_fills_the_same_through_every_eviction() {
    for_every_eviction(|host| {
        let object = host.agent::<Telling>("a");
        let mut client = object.connect("");
        for _ in 0..5 {
            client.send("x");
        }
        assert_eq!(client.texts(), ["x", "x", "x", TOO_MANY, TOO_MANY]);
        host.advance(Duration::from_millis(999));
        assert!(client.is_open());
        host.advance(Duration::from_millis(1));
        client.send("y");
        assert_eq!(client.texts(), ["y"]);
        client.send("y");
        assert_eq!(client.texts(), [TOO_MANY]);
        let close = client.close_event();
        assert_eq!((close.code, close.reason.as_str()), (1008, "Too many messages"));
        client.send("z");
        client.expect_no_frame();
    });
}

#[test]
fn a_strike_expires_through_every_eviction() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Telling>("a").connect("");
        for _ in 0..10 {
            client.send("x".repeat(101));
            assert_eq!(client.texts(), [r#"{"error":"Message is too large"}"#]);
            host.advance(Duration::from_secs(30));
        }
        client.send("x".repeat(101));
        host.advance(Duration::from_secs(1));
        assert!(client.is_open());
        client.send("x".repeat(101));
        assert_eq!(client.close_event().code, 1008);
    });
}

#[test]
fn bytes_count_as_utf_8_and_are_refused_before_they_are_parsed() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Telling>("a").connect("");
        client.send("ü".repeat(50));
        client.send(vec![0; 100]);
        client.send("x");
        let frames = client.frames();
        assert_eq!(frames[0].len(), 100);
        assert_eq!(frames[1], Message::Binary(vec![0; 100]));
        assert_eq!(frames[2], Message::Text(r#"{"error":"Too many bytes"}"#.to_owned()));
        // Not even a protocol frame gets through, but it is answered like one.
        client.set_state(&json!(7));
        assert_eq!(client.texts(), [r#"{"type":"cf_agent_state_error","error":"Too many bytes"}"#]);
        host.advance(Duration::from_secs(10));
        client.set_state(&json!(7));
        client.send("x");
        assert_eq!(client.texts(), ["x"]);
    });
}

#[test]
fn a_refused_call_is_answered_and_a_message_that_only_looks_like_one_is_the_agents_own() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Telling>("a").connect("");
        for _ in 0..3 {
            client.send("x");
        }
        client.texts();
        client.send(r#"{"type":"rpc","id":"ü","method":"m","args":[]}"#);
        client.send(r#"{"type":"rpc","id":1,"method":"m","args":[]}"#);
        assert_eq!(client.texts(), [r#"{"error":"Too many messages","id":"ü","success":false,"type":"rpc"}"#, TOO_MANY]);
    });
}

#[test]
fn each_connection_has_its_own_limits_and_its_state_is_its_own() {
    for_every_eviction(|host| {
        let object = host.agent::<Telling>("a");
        let (mut ada, mut bob) = (object.connect("?state=ada"), object.connect("?state=bob"));
        for _ in 0..4 {
            ada.send("state");
        }
        bob.send("state");
        assert_eq!(ada.texts(), ["ada", "ada", "ada", TOO_MANY]);
        assert_eq!(bob.texts(), ["bob"]);
        // A new socket is a new connection.
        ada.cut();
        assert_eq!(object.connect("?state=cy").texts(), [""; 0]);
    });
}

#[test]
fn a_policy_says_what_a_client_hears() {
    for_every_eviction(|host| {
        let mut client = host.agent::<Dropping>("a").connect("");
        for _ in 0..100 {
            client.send("x");
        }
        assert_eq!(client.texts(), ["x", "x", "x"]);
        assert!(client.is_open());

        let mut client = host.agent::<Closing>("a").connect("");
        for _ in 0..100 {
            client.send("x");
        }
        assert_eq!(client.texts(), ["x", "x", "x"]);
        assert_eq!(client.close_event().code, 1008);
    });
}

#[test]
fn who_leaves_no_room_for_anything_else_is_counted_all_the_same() {
    for_every_eviction(|host| {
        let object = host.agent::<Telling>("a");
        // Both the URL and the state hold it: the longest that fits fills the attachment but for a byte.
        let connect = |length: &usize| object.connect(&format!("?state={}", "x".repeat(*length)));
        let lengths: Vec<usize> = (7_900..8_200).collect();
        let fitting = lengths.partition_point(|length| connect(length).is_open());
        let mut client = connect(&lengths[fitting - 1]);
        assert!(client.is_open() && fitting < lengths.len(), "{fitting}");
        client.texts();
        for _ in 0..5 {
            client.send("x".repeat(101));
        }
        let too_large = r#"{"error":"Message is too large"}"#;
        assert_eq!(client.texts(), [too_large; 3]);
        assert_eq!(client.close_event().code, 1008);
    });
}

#[test]
fn an_own_protocol_asks_and_answers_in_its_own_words() {
    agent!(Own: (), (), ();
        async fn on_message(&self, _: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            let refusal = match connection.admit(&LIMITS, &message)? {
                Some(refusal) => refusal,
                None if message.as_text() == Some("ok") => return Ok(()),
                None => connection.strike(&LIMITS)?,
            };
            connection.send(format!("{} {}", refusal.reason, refusal.is_last))?;
            Ok(())
        }
    );
    for_every_eviction(|host| {
        let mut client = host.agent::<Own>("a").connect("");
        for text in ["bad", "ok", "bad", "ok"] {
            client.send(text);
        }
        assert_eq!(client.texts(), ["Invalid message false", "Invalid message false", "Too many messages true"]);
    });
}

proptest! {
    /// Of any sequence of messages, in no span of time is more admitted than the burst and what came back in that span.
    #[test]
    fn no_span_of_time_admits_more_than_the_rate(
        burst in 1..50_u64,
        refill in 1..50_u64,
        every_ms in 1..5_000_u64,
        steps in prop::collection::vec((0..500_u64, 0..10_u64), 1..200),
    ) {
        let rate = Rate::new(burst, refill, Duration::from_millis(every_ms));
        let mut bucket = TokenBucket::new();
        let mut now_ms = 1_700_000_000_000;
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for (wait_ms, tokens) in steps {
            now_ms += wait_ms;
            let available = bucket.available(rate, now_ms);
            // Through an attachment and back.
            bucket = serde_json::from_str(&serde_json::to_string(&bucket).expect("JSON")).expect("JSON");
            let given = bucket.take(rate, tokens, now_ms);
            prop_assert_eq!(given, tokens <= available);
            prop_assert_eq!(bucket.available(rate, now_ms), if given { available - tokens } else { available });
            if given {
                taken.push((now_ms, tokens));
            }
        }
        for (first, &(from_ms, _)) in taken.iter().enumerate() {
            let mut sum = 0;
            for &(to_ms, tokens) in &taken[first..] {
                sum += tokens;
                prop_assert!(sum * every_ms <= burst * every_ms + (to_ms - from_ms) * refill, "{} in {} ms", sum, to_ms - from_ms);
            }
        }
    }

    /// A sender that keeps to the rate is never refused.
    #[test]
    fn who_keeps_to_the_rate_is_never_refused(burst in 1..50_u64, refill in 1..50_u64, every_ms in 1..5_000_u64, rounds in 1..50_u64) {
        let rate = Rate::new(burst, refill, Duration::from_millis(every_ms));
        let mut bucket = TokenBucket::new();
        prop_assert!(bucket.take(rate, burst, 0));
        for round in 1..=rounds {
            prop_assert!(bucket.take(rate, refill.min(burst), round * every_ms), "{}", round);
        }
    }

    /// Whatever is sent and whenever, also by a clock that jumps, there are never more strikes than allowed before the last.
    #[test]
    fn the_last_strike_comes_at_the_latest_when_it_is_due(times in prop::collection::vec(0..200_000_u64, 1..100)) {
        let mut limiter = Limiter::new();
        let mut counted: Vec<u64> = Vec::new();
        for now_ms in times {
            counted.retain(|at_ms| now_ms.saturating_sub(*at_ms) < 60_000);
            let refusal = limiter.strike(&LIMITS, Reason::Content, now_ms);
            prop_assert_eq!(refusal.is_last, counted.len() == 2);
            if refusal.is_last {
                break;
            }
            counted.push(now_ms);
        }
    }
}
