//! What an instance and an idle connection weigh.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;
use tokio::time::sleep;

use crate::client::Client;
use crate::plan::{Server, Weighed, Weighing};

/// Until a server has done what it does after an answer, and its garbage collector has had a moment.
const SETTLING: Duration = Duration::from_secs(2);

#[derive(Debug, Serialize)]
struct Weight<'a> {
    server: &'a str,
    bytes_each: f64,
}

pub(crate) async fn weigh(weighing: &Weighing) -> Result<()> {
    let mut open: Vec<Vec<Client>> = weighing.servers.iter().map(|_| Vec::new()).collect();
    let mut looks = Vec::with_capacity(2);
    for count in [weighing.warm_up, weighing.count] {
        let mut memory = Vec::with_capacity(open.len());
        for (server, open) in weighing.servers.iter().zip(&mut open) {
            gather(server, weighing.what, count, open).await.with_context(|| server.name.clone())?;
            // Each as long after its own last answer: one that has waited for others has tidied up more.
            sleep(SETTLING).await;
            memory.push(private_bytes(server.pid)?);
        }
        looks.push(memory);
    }
    let [before, after] = looks.as_slice() else { return Ok(()) };
    for (server, (before, after)) in weighing.servers.iter().zip(before.iter().zip(after)) {
        #[allow(clippy::cast_precision_loss, reason = "a few thousand")]
        let bytes_each = (after - before) / weighing.count as f64;
        println!("{}", serde_json::to_string(&Weight { server: &server.name, bytes_each })?);
    }
    Ok(())
}

async fn gather(server: &Server, what: Weighed, count: usize, open: &mut Vec<Client>) -> Result<()> {
    for _ in 0..count {
        let instance = match what {
            Weighed::Instance => format!("weighed-{}", open.len()),
            Weighed::Connection => "weighed".to_owned(),
        };
        open.push(Client::join(server, &instance).await?);
    }
    Ok(())
}

/// Memory that the process has to itself: what would be free without it.
fn private_bytes(pid: i32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).context("the server has gone")?;
    let kib = rollup.lines().filter(|line| line.starts_with("Private_"));
    Ok(kib.filter_map(|line| line.split_whitespace().nth(1)?.parse::<f64>().ok()).sum::<f64>() * 1024.0)
}

#[cfg(test)]
mod tests {
    use super::private_bytes;

    /// Linux counts to 2²² at most.
    const NO_PROCESS: i32 = (1 << 22) + 1;

    #[test]
    fn what_a_process_fills_is_its_own() {
        let own = || private_bytes(std::process::id().cast_signed()).expect("this process");
        let before = own();
        let filled = std::hint::black_box(vec![1u8; 64 << 20]);
        assert!(own() - before > f64::from(60 << 20), "{} of {}", own() - before, filled.len());
    }

    #[test]
    fn a_process_that_is_gone_is_an_error_and_not_weightless() {
        assert!(private_bytes(NO_PROCESS).is_err());
    }
}
