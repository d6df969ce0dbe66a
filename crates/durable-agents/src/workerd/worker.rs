//! What workerd offers to all code, in an object or not.

use std::time::Duration;

use durable_agents_core::host::{HostError, Level, Surroundings};
use durable_agents_core::signature::VerifyingKey;
use futures::future::LocalBoxFuture;
use wasm_bindgen::JsValue;

use super::convert::host_error;
use super::{crypto, sys, timer};

/// The worker with its bindings.
pub(crate) struct WorkerEnv {
    pub(crate) env: JsValue,
}

impl Surroundings for WorkerEnv {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    fn now_ms(&self) -> u64 {
        js_sys::Date::now() as u64
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        if fill(bytes).is_err() {
            write_log(Level::Error, "the platform has no randomness");
        }
    }

    fn log(&self, level: Level, line: &str) {
        write_log(level, line);
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        timer::sleep(duration)
    }

    fn var(&self, name: &str) -> Option<String> {
        sys::variable(&self.env, name).ok().flatten()
    }

    fn verify(&self, key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
        crypto::verify(key, data, signature)
    }
}

/// Most bytes that one call of `getRandomValues` fills.
const MAX_RANDOM_BYTES: usize = 65_536;

fn fill(bytes: &mut [u8]) -> Result<(), JsValue> {
    bytes.chunks_mut(MAX_RANDOM_BYTES).try_for_each(sys::get_random_values)
}

pub(crate) fn write_log(level: Level, line: &str) {
    let name = match level {
        Level::Debug => "debug",
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    };
    // Without a console there is nobody to tell.
    drop(sys::write_log(name, line));
}

/// Random bytes that are fit for identifiers nobody may guess. For the worker; agents have
/// [`Context::uuid`](crate::Context::uuid).
///
/// # Errors
/// The platform has no randomness.
pub fn random_bytes<const COUNT: usize>() -> Result<[u8; COUNT], HostError> {
    let mut bytes = [0; COUNT];
    fill(&mut bytes).map_err(host_error)?;
    Ok(bytes)
}
