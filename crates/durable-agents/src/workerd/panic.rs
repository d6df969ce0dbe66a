//! Where a panic is told.

#[cfg(not(panic = "unwind"))]
use std::panic::take_hook;
#[cfg(not(panic = "unwind"))]
use std::sync::Once;

use durable_agents_core::install_panic_hook;

/// Makes panics in hooks events of the log, and all others errors in the console. Cheap after the first call.
pub(crate) fn install_hook() {
    #[cfg(panic = "unwind")]
    install_panic_hook(console_error_panic_hook::hook);
    #[cfg(not(panic = "unwind"))]
    {
        static ONCE: Once = Once::new();
        // The hook of the `worker` crate marks the isolate as broken, so that the next event gets a fresh one.
        ONCE.call_once(|| install_panic_hook(take_hook()));
    }
}
