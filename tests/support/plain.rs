//! Scenarios as they are; `tests/eviction.rs` runs them with evictions too.

/// A test for each scenario of the module `scenarios`.
macro_rules! plain {
    ($($scenario:ident)*) => {$(
        #[test]
        fn $scenario() {
            scenarios::$scenario(&durable_agents::testing::MemoryHost::new());
        }
    )*};
}
pub(crate) use plain;
