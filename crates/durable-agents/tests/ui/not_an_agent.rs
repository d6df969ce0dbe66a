use durable_agents::prelude::*;

#[derive(Default)]
struct Counter;

#[agent]
impl Clone for Counter {}

#[agent]
struct Other;

fn main() {}
