use durable_agents::prelude::*;

struct Counter {
    seen: u32,
}

#[agent]
impl Agent for Counter {}

fn main() {}
