use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callback]
    fn two(&self, a: u32, b: u32) -> Result<()> {
        let _ = (a, b);
        Ok(())
    }

    #[callback]
    fn opaque(&self, payload: std::rc::Weak<u8>, run: &Run) -> Result<()> {
        let _ = (payload, run);
        Ok(())
    }
}

fn main() {}
