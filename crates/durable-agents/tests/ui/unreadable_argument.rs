use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

struct Opaque;

#[agent]
impl Desk {
    #[callable]
    fn take(&self, opaque: Opaque) -> Result<()> {
        drop(opaque);
        Ok(())
    }

    #[callable]
    fn maybe(&self, opaque: Option<Opaque>) -> Result<()> {
        drop(opaque);
        Ok(())
    }
}

fn main() {}
