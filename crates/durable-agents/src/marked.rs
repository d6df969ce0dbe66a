//! What `#[agent]` and `#[callable]` meet in.

use durable_agents_core::Agent;
use durable_agents_core::rpc::Methods;

/// The tables of an agent without a block of marked methods: one with a block has a function of its own by this name, which comes first.
pub trait WithoutMarkedMethods: Agent {
    /// Empty tables.
    fn __an_agent_has_one_block_of_marked_methods() -> Methods<Self> {
        Methods::NONE
    }
}

impl<A: Agent> WithoutMarkedMethods for A {}
