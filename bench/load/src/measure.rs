//! Slices: one run for a moment, all clocks read around it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use futures_util::future::try_join_all;
use serde::Serialize;
use tokio::time::timeout;

use crate::cpu::CpuClock;
use crate::crowd::{self, gather};
use crate::lane::Lane;
use crate::plan::{Plan, Run};

/// A server that does not answer fails the run after this, beyond the time that the slice was to take.
const PATIENCE: Duration = Duration::from_secs(60);

/// One line of output.
#[derive(Debug, Serialize)]
struct Slice<'a> {
    round: u32,
    scenario: &'a str,
    server: &'a str,
    operations: usize,
    server_cpu_ns: u128,
    client_cpu_ns: u128,
    elapsed_ns: u128,
    p50_ns: u128,
    p99_ns: u128,
}

/// Measures all rounds. In a round a slice of one run follows the other's, so that what drifts, drifts for all of them.
pub(crate) async fn measure(plan: &Plan) -> Result<()> {
    let mut crowds = Vec::new();
    for Run { server, scenario } in &plan.runs {
        if let Some(crowd) = scenario.crowd {
            crowds.push(gather(server, crowd).await.with_context(|| server.name.clone())?);
        }
    }
    for round in 0..plan.warm_up_rounds + plan.rounds {
        for run in in_turn(&plan.runs, round) {
            let slice = timeout(plan.warm_up() + plan.measure() + PATIENCE, measure_slice(plan, run, round)).await;
            let slice = slice.unwrap_or_else(|_| Err(anyhow!("the server does not answer")));
            let slice = slice.with_context(|| format!("{}, {}", run.server.name, run.scenario.name))?;
            if round >= plan.warm_up_rounds {
                println!("{}", serde_json::to_string(&slice)?);
            }
        }
    }
    Ok(())
}

/// The runs, another one first in each round: being first is an advantage or a drawback.
fn in_turn(runs: &[Run], round: u32) -> impl Iterator<Item = &Run> {
    let first = round as usize % runs.len().max(1);
    runs.iter().cycle().skip(first).take(runs.len())
}

async fn measure_slice<'a>(plan: &Plan, run: &'a Run, round: u32) -> Result<Slice<'a>> {
    let Run { server, scenario } = run;
    let server_clock = CpuClock::of_process(server.pid)?;
    let client_clock = CpuClock::of_process(std::process::id().cast_signed())?;
    let slice = match scenario.crowd {
        Some(_) => crowd::INSTANCE.to_owned(),
        None => format!("{round:04}"),
    };
    let mut lanes = Lane::open(server, &scenario.operation, scenario.lanes, &slice).await?;

    run_for(&mut lanes, plan.warm_up()).await?;
    let (began, server_before, client_before) = (Instant::now(), server_clock.now()?, client_clock.now()?);
    let mut latencies = run_for(&mut lanes, plan.measure()).await?;
    let (elapsed, server_cpu) = (began.elapsed(), server_clock.now()? - server_before);
    let client_cpu = client_clock.now()? - client_before;

    for lane in lanes {
        lane.close().await?;
    }
    latencies.sort_unstable();
    Ok(Slice {
        round,
        scenario: &scenario.name,
        server: &server.name,
        operations: latencies.len(),
        server_cpu_ns: server_cpu.as_nanos(),
        client_cpu_ns: client_cpu.as_nanos(),
        elapsed_ns: elapsed.as_nanos(),
        p50_ns: percentile(&latencies, 50).as_nanos(),
        p99_ns: percentile(&latencies, 99).as_nanos(),
    })
}

/// Keeps every lane busy for `duration`; how long each operation took. Ends when the last one has been answered.
async fn run_for(lanes: &mut [Lane<'_>], duration: Duration) -> Result<Vec<Duration>> {
    let end = Instant::now() + duration;
    let latencies = try_join_all(lanes.iter_mut().map(|lane| run_until(lane, end))).await?;
    Ok(latencies.concat())
}

async fn run_until(lane: &mut Lane<'_>, end: Instant) -> Result<Vec<Duration>> {
    let mut latencies = Vec::new();
    loop {
        let began = Instant::now();
        if began >= end && !latencies.is_empty() {
            return Ok(latencies);
        }
        lane.run().await?;
        latencies.push(began.elapsed());
    }
}

/// Nearest rank; `sorted` ascends.
fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{in_turn, percentile};
    use crate::plan::Run;

    #[test]
    fn a_percentile_is_the_nearest_rank() {
        let latencies = |last: u64| (1..=last).map(Duration::from_nanos).collect::<Vec<_>>();
        let of = |last, percent| percentile(&latencies(last), percent).as_nanos();
        assert_eq!((of(100, 50), of(100, 99)), (50, 99));
        assert_eq!((of(101, 50), of(101, 99)), (51, 100));
        assert_eq!((of(1, 50), of(1, 99), of(2, 99)), (1, 1, 2));
        assert_eq!(of(0, 50), 0);
    }

    #[test]
    fn each_run_has_its_turn_in_every_round_and_another_one_is_first() {
        let run = |name: &str| -> Run {
            let run = format!(
                r#"{{"server":{{"name":"{name}","pid":1,"port":1}},"scenario":{{"name":"","operation":"call","lanes":1}}}}"#
            );
            serde_json::from_str(&run).expect("a run")
        };
        let runs = ["a", "b", "c"].map(run);
        let names = |round| in_turn(&runs, round).map(|run| run.server.name.as_str()).collect::<String>();
        assert_eq!([0, 1, 2, 3].map(names), ["abc", "bca", "cab", "abc"]);
        assert_eq!(in_turn(&[], 1).count(), 0);
    }
}
