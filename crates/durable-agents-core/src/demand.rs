//! What few workers need of an adapter, and the others are built without.
//!
//! The port is called through a table of functions, so all of an adapter would be a part of every worker, whatever its agents do. A
//! [`Demand`] is noted by the functions through which alone a part of the adapter can be reached, and looked at by that part. Where no
//! code of a worker calls such a function, nothing writes the note, and the optimizer, which sees the whole worker, knows how the look
//! at it ends: the part is left out.

use std::sync::atomic::{AtomicBool, Ordering};

/// Whether something may be needed.
///
/// A note is kept in memory alone, so it has to be made in each wake: by what calls the part, not by what once made it worth calling.
#[derive(Debug)]
pub struct Demand(AtomicBool);

impl Demand {
    const fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// For each function that leads to what is in demand, before it does.
    // Compiled into them, so that it is gone where they are.
    #[inline(always)]
    pub fn note(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// For adapters that have everything: that a worker with this agent would have it too.
    #[cfg(feature = "testing")]
    pub(crate) fn expect_noted(&self) {
        assert!(self.is_noted(), "a function of the core leads here and has not noted the demand");
    }

    /// Whether it was noted. Always so where it is asked on behalf of a caller.
    #[inline(always)]
    pub fn is_noted(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// As in a worker of whose code nothing has run. For tests.
#[cfg(feature = "testing")]
pub fn forget_all() {
    for demand in
        [&FETCH_URL, &FETCH_AGENT, &SET_AUTO_RESPONSE, &AUTO_RESPONSE_MS, &VAR, &VERIFY, &HEADERS, &FORM_DATA, &STREAM]
    {
        demand.0.store(false, Ordering::Relaxed);
    }
}

/// [`Host::fetch_url`](crate::host::Host::fetch_url).
pub static FETCH_URL: Demand = Demand::new();

/// [`Host::fetch_agent`](crate::host::Host::fetch_agent).
pub static FETCH_AGENT: Demand = Demand::new();

/// [`Host::set_auto_response`](crate::host::Host::set_auto_response).
pub static SET_AUTO_RESPONSE: Demand = Demand::new();

/// [`Host::auto_response_ms`](crate::host::Host::auto_response_ms). An earlier wake may have set what is answered.
pub static AUTO_RESPONSE_MS: Demand = Demand::new();

/// [`Surroundings::var`](crate::host::Surroundings::var).
pub static VAR: Demand = Demand::new();

/// [`Surroundings::verify`](crate::host::Surroundings::verify).
pub static VERIFY: Demand = Demand::new();

/// [`RequestSource::headers`](crate::http::RequestSource::headers).
pub static HEADERS: Demand = Demand::new();

/// [`RequestSource::form_data`](crate::http::RequestSource::form_data).
pub static FORM_DATA: Demand = Demand::new();

/// Bodies on their way out that are streams: [`Pieces`](crate::http::Pieces).
pub static STREAM: Demand = Demand::new();

/// Whatever [`RouteOptions`](crate::route::RouteOptions) few workers have.
pub(crate) static ROUTING: Demand = Demand::new();

/// For whoever is handed the port itself.
// Once for all agents.
#[inline(never)]
pub(crate) fn note_all() {
    for demand in [&FETCH_URL, &FETCH_AGENT, &SET_AUTO_RESPONSE, &AUTO_RESPONSE_MS, &VAR, &VERIFY] {
        demand.note();
    }
}
