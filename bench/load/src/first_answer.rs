//! How long a server that has just been started takes to its first answer.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::{sleep, timeout};

use crate::cpu::CpuClock;
use crate::http::HttpClient;
use crate::plan::Server;

const PATIENCE: Duration = Duration::from_secs(30);

#[derive(Debug, Serialize)]
struct FirstAnswer<'a> {
    server: &'a str,
    /// From the request on.
    elapsed_ns: u128,
    /// Of the process, from its very start on.
    server_cpu_ns: u128,
}

pub(crate) async fn first_answer(server: &Server) -> Result<()> {
    let clock = CpuClock::of_process(server.pid)?;
    let began = Instant::now();
    timeout(PATIENCE, async {
        // It listens before it has loaded everything.
        while HttpClient::connect(server).await?.get_ok(&server.path("first")).await.is_err() {
            sleep(Duration::from_millis(1)).await;
        }
        anyhow::Ok(())
    })
    .await
    .context("the server does not answer")??;
    let (elapsed_ns, server_cpu_ns) = (began.elapsed().as_nanos(), clock.now()?.as_nanos());
    println!("{}", serde_json::to_string(&FirstAnswer { server: &server.name, elapsed_ns, server_cpu_ns })?);
    Ok(())
}
