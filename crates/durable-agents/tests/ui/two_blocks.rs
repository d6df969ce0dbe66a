use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable]
    fn a(&self) -> Result<()> {
        Ok(())
    }
}

#[callable]
impl Desk {
    fn b(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
