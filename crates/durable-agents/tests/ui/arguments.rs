use durable_agents::prelude::*;

#[derive(Default)]
struct Counter;

#[agent(name = "counter")]
impl Agent for Counter {}

fn main() {}
