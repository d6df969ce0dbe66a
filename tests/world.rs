//! WorldAgent: what its users see.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/chat_completions.rs"]
mod chat_completions;
#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/world.rs"]
mod scenarios;
use plain::plain;

scenarios::world_scenarios!(plain);
