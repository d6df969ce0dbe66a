use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[agent]
impl Desk {
    #[callable(streaming)]
    fn without(&self, cx: &Context<Self>, count: u32) -> Result<()> {
        let _ = (cx, count);
        Ok(())
    }

    #[callable(streaming)]
    fn without_anything(&self) -> Result<()> {
        Ok(())
    }

    #[callable]
    fn undeclared(&self, stream: Stream<u32>) -> Result<()> {
        drop(stream);
        Ok(())
    }

    #[callable(streaming)]
    fn returns(&self, stream: Stream<u32>) -> Result<u32> {
        drop(stream);
        Ok(1)
    }
}

fn main() {}
