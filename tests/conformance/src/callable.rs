//! Calls and streams, and every way in which they end.

use std::time::Duration;

use durable_agents::host::Level;
use durable_agents::prelude::*;
use serde_json::{Number, Value, json};

use crate::number;

/// Answers calls in every way there is.
#[derive(Debug, Default)]
pub struct TestCallableAgent;

#[agent]
impl Agent for TestCallableAgent {
    type State = Value;

    fn initial_state(&self) -> Option<Value> {
        Some(json!({"value": 0}))
    }
}

#[callable(rename_all = "camelCase")]
impl TestCallableAgent {
    fn add(&self, a: f64, b: f64) -> Result<Option<Number>> {
        Ok(number::json(a + b))
    }

    async fn async_method(&self, cx: &Context<Self>, delay_ms: f64) -> Result<&'static str> {
        cx.sleep(number::millis(delay_ms)).await;
        Ok("done")
    }

    async fn delayed_throw(&self, cx: &Context<Self>, delay_ms: f64) -> Result<()> {
        cx.sleep(number::millis(delay_ms)).await;
        bail!("delayed failure")
    }

    fn throw_error(&self, message: String) -> Result<()> {
        bail!(message)
    }

    async fn hang(&self) -> Result<()> {
        std::future::pending().await
    }

    fn close_connections_for_test(&self, cx: &Context<Self>, code: u16, reason: String) -> Result<usize> {
        let connections: Vec<_> = cx.connections().collect();
        let count = connections.len();
        let later = cx.clone();
        cx.wait_until(async move {
            // The answer goes first.
            later.sleep(Duration::ZERO).await;
            for connection in connections {
                if let Err(error) = connection.close(code, &reason) {
                    later.log(Level::Warn, &format!("not closed: {error}"));
                }
            }
        });
        Ok(count)
    }

    fn void_method(&self) -> Result<()> {
        Ok(())
    }

    fn return_undefined(&self) -> Result<()> {
        Ok(())
    }

    fn return_null(&self) -> Result<Value> {
        Ok(Value::Null)
    }

    #[callable(streaming)]
    fn stream_numbers(&self, stream: Stream<u32>, count: u32) -> Result<()> {
        for number in 0..count {
            stream.send(number)?;
        }
        stream.end(count)?;
        Ok(())
    }

    #[callable(streaming)]
    async fn stream_with_delay(
        &self,
        cx: &Context<Self>,
        stream: Stream<String, &'static str>,
        chunks: Vec<String>,
        delay_ms: f64,
    ) -> Result<()> {
        for chunk in chunks {
            cx.sleep(number::millis(delay_ms)).await;
            stream.send(chunk)?;
        }
        stream.end("complete")?;
        Ok(())
    }

    #[callable(streaming)]
    fn stream_error(&self, stream: Stream<&'static str>) -> Result<()> {
        stream.send("chunk1")?;
        bail!("Stream failed")
    }

    #[callable(streaming)]
    fn stream_graceful_error(&self, stream: Stream<&'static str>) -> Result<()> {
        stream.send("chunk1")?;
        stream.error("Graceful error")?;
        Ok(())
    }

    #[callable(streaming)]
    fn stream_double_close(&self, stream: Stream<&'static str>) -> Result<()> {
        stream.send("chunk1")?;
        stream.error("First close")?;
        // All of these are refused.
        let _ = stream.end("ignored");
        let _ = stream.send("also ignored");
        let _ = stream.error("also ignored");
        Ok(())
    }

    #[callable(streaming)]
    fn stream_throws_immediately(&self, _: Stream<()>) -> Result<()> {
        bail!("Immediate failure")
    }

    /// What clients cannot reach.
    #[callable(skip)]
    #[allow(dead_code, reason = "that nobody can call it is what it is for")]
    fn private_method(&self) -> &'static str {
        "secret"
    }
}
