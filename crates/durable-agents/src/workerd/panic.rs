//! Where a panic is told.

use std::panic::take_hook;
use std::sync::Once;

/// Makes panics in hooks events of the log, and all others errors in the console. Cheap after the first call.
pub(crate) fn install_hook() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let previous = take_hook();
        durable_agents_core::install_panic_hook(move |info| {
            if cfg!(panic = "unwind") {
                console_error_panic_hook::hook(info);
            } else {
                // The hook of the `worker` crate marks the isolate as broken, so that the next event gets a fresh one.
                previous(info);
            }
        });
    });
}
