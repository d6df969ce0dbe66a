use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent(rename_all = "camelCase")]
impl Desk {
    #[callable]
    fn get_all(&self) -> Result<()> {
        Ok(())
    }

    #[callable(name = "getAll")]
    fn all(&self) -> Result<()> {
        Ok(())
    }

    #[callback]
    fn getAll(&self) -> Result<()> {
        Ok(())
    }
}

fn main() {}
