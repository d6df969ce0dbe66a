//! Crashes everywhere.

use durable_agents::testing::CrashPoint;

/// Runs a scenario with a crash at the first, the second, … point of each kind, until it gets to its end without one. It returns
/// whether there was one.
pub(crate) fn for_every_crash(scenario: impl Fn(CrashPoint) -> bool) {
    for point in [
        CrashPoint::StorageCall as fn(u64) -> CrashPoint,
        CrashPoint::AfterStorageCall,
        CrashPoint::AwaitPoint,
        CrashPoint::AfterAwaitPoint,
    ] {
        let crashes = (1..).take_while(|&n| scenario(point(n))).count();
        assert!(crashes > 0, "{:?} never came", point(1));
    }
}
