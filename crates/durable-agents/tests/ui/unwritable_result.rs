use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

struct Opaque;

#[agent]
impl Desk {
    #[callable]
    fn give(&self) -> Result<Opaque> {
        Ok(Opaque)
    }
}

fn main() {}
