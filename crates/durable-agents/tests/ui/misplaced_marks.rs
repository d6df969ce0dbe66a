use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

impl Desk {
    #[callable]
    fn lonely(&self) -> Result<()> {
        Ok(())
    }

    #[callback]
    fn lonely_too(&self) -> Result<()> {
        Ok(())
    }
}

#[callable]
fn free() -> Result<()> {
    Ok(())
}

#[callable]
struct Other;

fn main() {}
