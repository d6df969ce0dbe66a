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

#[cfg(test)]
mod tests {
    use super::CpuClock;

    /// Linux counts to 2²² at most.
    const NO_PROCESS: i32 = (1 << 22) + 1;

    #[test]
    fn the_clock_of_a_process_goes_on_while_it_works() {
        let clock = CpuClock::of_process(std::process::id().cast_signed()).expect("a clock");
        let before = clock.now().expect("a time");
        let mut sum = 0u64;
        while clock.now().expect("a time") == before {
            sum = std::hint::black_box(sum.wrapping_add(1));
        }
        assert!(clock.now().expect("a time") > before);
    }

    #[test]
    fn who_is_no_process_has_none() {
        assert!(CpuClock::of_process(NO_PROCESS).and_then(CpuClock::now).is_err());
    }
}
