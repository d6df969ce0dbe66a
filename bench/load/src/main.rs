//! Load generator of the benchmark.
//!
//! Does what its argument says with what it reads from stdin, JSON of a type in [`plan`]:
//! - `check`: holds one conversation with every server and fails unless all of them answer alike;
//! - `check-restarted`: the same for what must have outlived the server's process;
//! - `rehearse`: plays exchanges a few times, and fails unless each ends with the frames it should end with;
//! - `measure`: measures scenarios on servers, round after round, and prints one JSON object for each slice;
//! - `weigh`: opens many of a kind on each server, and prints how much memory one of them takes;
//! - `first-answer`: asks a server that is starting until it answers, and prints what that took.
//!
//! One thread, so that client and server can share one CPU in turns; see `bench/README.md` for why.

mod check;
mod client;
mod cpu;
mod crowd;
mod exchange;
mod first_answer;
mod http;
mod lane;
mod measure;
mod plan;
mod weigh;

use std::io;

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;

use crate::plan::{Plan, Rehearsal, Server, Servers, Weighing};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let command = std::env::args().nth(1).unwrap_or_default();
    match command.as_str() {
        "check" => check::check(&read::<Servers>()?.servers).await,
        "check-restarted" => check::check_restarted(&read::<Servers>()?.servers).await,
        "rehearse" => exchange::rehearse(&read::<Rehearsal>()?).await,
        "measure" => measure::measure(&read::<Plan>()?).await,
        "weigh" => weigh::weigh(&read::<Weighing>()?).await,
        "first-answer" => first_answer::first_answer(&read::<Server>()?).await,
        _ => bail!("usage: load check|check-restarted|rehearse|measure|weigh|first-answer < plan.json"),
    }
}

fn read<T: DeserializeOwned>() -> Result<T> {
    serde_json::from_reader(io::stdin()).context("what came over stdin is no plan")
}
