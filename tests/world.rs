//! WorldAgent: what its users see.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]

use durable_agents::testing::MemoryHost;

#[path = "scenarios/world.rs"]
mod scenarios;

macro_rules! plain {
    ($($scenario:ident)*) => {$(
        #[test]
        fn $scenario() {
            scenarios::$scenario(&MemoryHost::new());
        }
    )*};
}
scenarios::world_scenarios!(plain);
