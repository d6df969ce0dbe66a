use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable]
    fn greet(&self, name: &str) -> Result<usize> {
        Ok(name.len())
    }

    #[callable]
    fn pair(&self, (a, b): (u8, u8)) -> Result<u8> {
        Ok(a + b)
    }
}

fn main() {}
