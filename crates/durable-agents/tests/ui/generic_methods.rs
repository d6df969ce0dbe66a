use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable]
    fn of_any<T>(&self, value: T) -> Result<()> {
        drop(value);
        Ok(())
    }

    #[callable]
    fn of_some(&self, value: impl Into<String>) -> Result<()> {
        drop(value.into());
        Ok(())
    }
}

fn main() {}
