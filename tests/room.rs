//! ChatRoom: what people in it see.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/room.rs"]
mod scenarios;
use plain::plain;

scenarios::room_scenarios!(plain);
