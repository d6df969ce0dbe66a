use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable]
    fn by_value(self) -> Result<()> {
        Ok(())
    }

    #[callable]
    fn exclusive(&mut self) -> Result<()> {
        Ok(())
    }

    #[callable]
    fn none() -> Result<()> {
        Ok(())
    }

    #[callback]
    fn shared(self: std::rc::Rc<Self>) -> Result<()> {
        Ok(())
    }
}

fn main() {}
