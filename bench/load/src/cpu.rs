//! CPU time of the server.

use std::time::Duration;

use anyhow::{Context, Result};
use nix::time::{ClockId, clock_getcpuclockid};
use nix::unistd::Pid;

/// CPU time that a process has consumed, over all its threads, also those that have ended.
///
/// From the scheduler's own books, in nanoseconds: `/proc/<pid>/stat` counts ticks of 10 ms, too coarse for a slice.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock(ClockId);

impl CpuClock {
    pub(crate) fn of_process(pid: i32) -> Result<Self> {
        clock_getcpuclockid(Pid::from_raw(pid)).map(Self).with_context(|| format!("no CPU clock of process {pid}"))
    }

    pub(crate) fn now(self) -> Result<Duration> {
        Ok(self.0.now().context("the server has gone")?.into())
    }
}
