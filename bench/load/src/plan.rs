//! What to do, as the scripts of `bench/` hand it over.

use std::time::Duration;

use serde::Deserialize;

use crate::exchange::Exchange;

/// The servers to compare.
#[derive(Debug, Deserialize)]
pub(crate) struct Servers {
    pub(crate) servers: Vec<Server>,
}

/// What to open on freshly started servers, to see what it weighs.
#[derive(Debug, Deserialize)]
pub(crate) struct Weighing {
    pub(crate) servers: Vec<Server>,
    pub(crate) what: Weighed,
    /// How many before the first look at the memory: what is allocated once is not what one of them weighs.
    pub(crate) warm_up: usize,
    /// How many between the two looks.
    pub(crate) count: usize,
}

/// A thing that takes memory for as long as it is there.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Weighed {
    /// An instance that has been created and greeted one socket, which stays open.
    Instance,
    /// A socket that has been greeted and says nothing; all on one instance.
    Connection,
}

/// What to play a few times, to see that it ends as it should.
#[derive(Debug, Deserialize)]
pub(crate) struct Rehearsal {
    pub(crate) runs: Vec<Run>,
}

/// What to measure side by side.
#[derive(Debug, Deserialize)]
pub(crate) struct Plan {
    pub(crate) runs: Vec<Run>,
    /// Rounds that count. In each there is a slice of every run.
    pub(crate) rounds: u32,
    /// Rounds before those, whose figures are thrown away: compilers and caches warm up.
    pub(crate) warm_up_rounds: u32,
    /// How long each slice is loaded before its clocks are read.
    pub(crate) warm_up_ms: u64,
    /// How long each slice is measured.
    pub(crate) measure_ms: u64,
}

/// A scenario on a server.
#[derive(Debug, Deserialize)]
pub(crate) struct Run {
    pub(crate) server: Server,
    pub(crate) scenario: Scenario,
}

/// A running workerd.
#[derive(Debug, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) pid: i32,
    /// Where it listens, on 127.0.0.1.
    pub(crate) port: u16,
}

/// One kind of load.
#[derive(Debug, Deserialize)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    /// How many operations are under way at any time.
    pub(crate) lanes: usize,
    /// What is there too, and does nothing.
    #[serde(default)]
    pub(crate) crowd: Option<Crowd>,
}

/// Company for the instance that is measured, from before the first round to after the last.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Crowd {
    /// Sockets on the same instance. They are sent what it broadcasts, and do not read it.
    pub(crate) sockets: usize,
    /// Other instances, each with one socket.
    pub(crate) instances: usize,
    /// Size of the instance's state.
    pub(crate) state_bytes: usize,
}

/// What is done over and over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Operation {
    /// A text message comes back. All lanes on one instance.
    EchoText { bytes: usize },
    /// A binary message comes back. All lanes on one instance.
    EchoBinary { bytes: usize },
    /// `add(a, b)` is called. All lanes on one instance.
    Call,
    /// A client sets the state, and every watcher is sent it. Each lane has an instance of its own.
    SetState { watchers: usize, text_bytes: usize },
    /// A message goes out to every socket, the sender's among them. Each lane has an instance of its own.
    Broadcast { sockets: usize, bytes: usize },
    /// A socket to one instance opens, is greeted and closes.
    Connect,
    /// The same, to an instance that nobody has talked to before.
    NewInstance,
    /// `GET` over a kept connection.
    Get,
    /// Whatever the plan spells out, with any agent. Only this one needs no agent under test.
    Exchange(Exchange),
}

impl Plan {
    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_millis(self.warm_up_ms)
    }

    pub(crate) fn measure(&self) -> Duration {
        Duration::from_millis(self.measure_ms)
    }
}

impl Server {
    /// Path of an instance of the agent under test.
    pub(crate) fn path(&self, instance: &str) -> String {
        format!("/agents/bench-agent/{instance}")
    }
}
