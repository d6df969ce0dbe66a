use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable]
    fn nothing(&self) {}

    #[callable]
    fn plain(&self) -> u32 {
        1
    }

    #[callback]
    fn answers(&self) -> Result<u32> {
        Ok(1)
    }
}

fn main() {}
