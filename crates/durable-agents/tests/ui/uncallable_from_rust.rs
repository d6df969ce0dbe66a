use durable_agents::prelude::*;

#[derive(Default)]
struct Desk;

#[agent]
impl Agent for Desk {}

#[derive(serde::Serialize)]
struct Receipt;

#[derive(serde::Deserialize)]
struct Key;

#[agent]
impl Desk {
    #[callable]
    fn receipt(&self, key: Key) -> Result<Receipt> {
        drop(key);
        Ok(Receipt)
    }
}

async fn call(cx: &Context<Desk>) {
    let _ = cx.agent::<Desk>("other").receipt(Key).await;
}

fn main() {}
