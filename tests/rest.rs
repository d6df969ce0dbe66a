//! RestAgent: what HTTP clients get.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

#[path = "support/plain.rs"]
mod plain;
#[path = "scenarios/rest.rs"]
mod scenarios;
use plain::plain;

scenarios::rest_scenarios!(plain);
