use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent(rename_all = "SHOUT", loud)]
impl Desk {
    #[callable(rate = 5)]
    fn a(&self) -> Result<()> {
        Ok(())
    }

    #[callable(scope = "")]
    fn b(&self) -> Result<()> {
        Ok(())
    }

    #[callable]
    #[callable]
    fn c(&self) -> Result<()> {
        Ok(())
    }

    #[callable]
    #[callback]
    fn d(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
