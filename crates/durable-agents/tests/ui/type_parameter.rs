use durable_agents::prelude::*;

#[derive(Default)]
struct Keeper<T>(T);

#[agent]
impl<T: Default + 'static> Agent for Keeper<T> {}

fn main() {}
