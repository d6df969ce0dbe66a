use durable_agents::prelude::*;

#[derive(Default)]
struct Counter;

#[agent]
impl Counter {}

#[agent]
struct Other;

fn main() {}
