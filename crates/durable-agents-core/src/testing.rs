//! A world in which agents run under plain `cargo test`.
//!
//! [`MemoryHost`] is the platform without the platform: real SQLite with its limits, WebSockets with its close handshakes, a clock
//! that moves only when told, randomness that a seed repeats, and several agents that reach each other. It is synchronous, runs on
//! the test's own thread and needs no runtime; inside `#[tokio::test]` it works just as well.
//!
//! ```
//! use durable_agents_core::testing::MemoryHost;
//! use durable_agents_core::{Agent, Connection, Context, Message, Result};
//!
//! struct Counter;
//!
//! impl Agent for Counter {
//!     type State = u32;
//!     type ConnectionState = ();
//!     type Props = ();
//!     const CLASS: &'static str = "Counter";
//!
//!     fn new(_: &Context<Self>) -> Self {
//!         Self
//!     }
//!
//!     fn initial_state(&self) -> Option<u32> {
//!         Some(0)
//!     }
//!
//!     async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
//!         if message.as_text() == Some("increment") {
//!             connection.send((*cx.state()? + 1).to_string())?;
//!             cx.update_state(|count| *count += 1)?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! let host = MemoryHost::new();
//! let counter = host.agent::<Counter>("a");
//! let mut client = counter.connect("?token=x");
//! client.send("increment");
//! assert_eq!(client.next_text(), "1");
//!
//! // The object leaves memory, the socket stays.
//! counter.evict();
//! client.send("increment");
//! assert_eq!(client.next_json()["state"], 1);
//! assert_eq!(client.next_text(), "2");
//! ```
//!
//! # How the world runs
//! - One thing at a time: an event of the platform reaches its object in the order it arose, and everything that can go on without
//!   the clock goes on before the next one.
//! - What an object writes between two await points reaches its disk together. What it sends is held back until then, as by the
//!   platform's output gate, so that nobody hears of what a crash undoes.
//! - An alarm goes off when [`MemoryHost::advance`] comes to its time. One that fails is repeated after 2 s, then after twice as long
//!   each time, six times at most.
//! - An object that is busy, because a hook waits, is not evicted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::result_large_err,
    reason = "a panic here tells the author of a test what is wrong, and nobody counts the bytes"
)]

use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;

use futures::future::{LocalBoxFuture, ready};

use crate::agent::Agent;
use crate::error::Error;
use crate::guard;
use crate::host::{HostError, Level, Placement, Surroundings, Target};
use crate::http::{Request, Response};
use crate::message::Message;
use crate::route::{RouteOptions, route};
use crate::runtime::Runtime;
use crate::signature::VerifyingKey;
use crate::time::after;

mod client;
mod crypto;
mod disk;
mod http;
mod object;
mod outside;
mod random;
mod socket;
mod world;

pub use client::{Client, Dial};
pub use http::Collected;
pub use object::{Object, Pending, Streaming};

use http::{Door, collect, seal};
use socket::Pipe;
use world::World;

/// What [`MemoryHost::route`] routes with.
pub type Options<'a> = RouteOptions<'a, Request, Response, Error>;

/// A platform in memory, with everything in it. See [the module](self).
///
/// A handle: clones are the same world.
#[derive(Clone)]
pub struct MemoryHost {
    world: Rc<World>,
}

/// Where an object crashes, counted from one. See [`Object::crash_at`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashPoint {
    /// Before its n-th call of storage.
    StorageCall(u64),
    /// After its n-th call of storage, whose writes have not reached the disk.
    AfterStorageCall(u64),
    /// Where one of its tasks waits or ends for the n-th time: what was written since the last time is lost.
    AwaitPoint(u64),
    /// The same, but what was written is on disk. What was sent is lost all the same.
    AfterAwaitPoint(u64),
}

/// When idle objects leave memory by themselves. See [`MemoryHost::evict_between_events`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EvictPlan {
    /// When told only.
    #[default]
    Never,
    /// Before every event they get.
    Always,
    /// Before the n-th event of this world, counted from one.
    At(u64),
}

impl MemoryHost {
    /// A new world, always the same: with seed 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with_seed(0)
    }

    /// A new world whose randomness follows from `seed`.
    #[must_use]
    pub fn with_seed(seed: u64) -> Self {
        // Panics of hooks belong into the world's log, with their place, and not onto the terminal.
        guard::install_panic_hook_over_current();
        Self { world: World::new(seed) }
    }

    /// The agent `A` of that name, bound under its class name.
    pub fn agent<A: Agent>(&self, name: &str) -> Object {
        self.agent_bound::<A>(A::CLASS, name)
    }

    /// The agent `A` of that name under a binding that is not called like its class.
    pub fn agent_bound<A: Agent>(&self, binding: &str, name: &str) -> Object {
        self.bind_as::<A>(binding);
        self.object(&Target { binding: binding.to_owned(), name: name.to_owned(), placement: Placement::default() })
    }

    /// Binds a class under its name, so that the router and other agents find it. [`agent`](Self::agent) does that too.
    pub fn bind<A: Agent>(&self) {
        self.bind_as::<A>(A::CLASS);
    }

    /// The same under another name.
    pub fn bind_as<A: Agent>(&self, binding: &str) {
        let mut bindings = self.world.bindings.borrow_mut();
        if bindings.iter().all(|(bound, _)| bound != binding) {
            bindings.push((binding.to_owned(), Runtime::new::<A>));
        }
    }

    /// An agent by its complete address. Panics if nothing is bound there.
    pub fn object(&self, target: &Target) -> Object {
        let slot = self.world.slot(target).unwrap_or_else(|error| panic!("{error}"));
        Object { world: Rc::clone(&self.world), slot }
    }

    /// Sends a request through the router; `None` if its path is not an agent's. Panics if a hook or the platform fails.
    pub fn route(&self, request: Request, options: &Options<'_>) -> Option<Collected> {
        self.try_route(request, options).unwrap_or_else(|error| panic!("the router failed: {error:#}"))
    }

    /// The same, with a failure as an error.
    ///
    /// The router's waits between two attempts move the clock.
    ///
    /// # Errors
    /// That of a hook, or of the platform.
    pub fn try_route(&self, request: Request, options: &Options<'_>) -> Result<Option<Collected>, Error> {
        let door = Door { world: Rc::clone(&self.world), pipe: None };
        let routed = self.world.drive("the router's answer", route(&door, seal(request), options))?;
        Ok(routed.map(|response| collect(&self.world, response)).transpose()?)
    }

    /// Opens a WebSocket through the router; `None` if the path is not an agent's. Panics if a hook or the platform fails.
    ///
    /// `request` needs its `Upgrade` header. Waits for the end of the handshake, so the connect hook must not wait for the clock.
    pub fn route_connect(&self, request: Request, options: &Options<'_>) -> Option<Client> {
        let pipe = Pipe::new(false);
        let door = Door { world: Rc::clone(&self.world), pipe: Some(Rc::clone(&pipe)) };
        let routed = self.world.drive("the router's answer", route(&door, seal(request), options));
        let response = routed.unwrap_or_else(|error| panic!("the router failed: {error:#}"))?;
        let (answer, answered) = futures::channel::oneshot::channel();
        let _ = answer.send(Ok(response));
        let mut client = Client::new(Rc::clone(&self.world), pipe, Ok(answered));
        client.refusal();
        Some(client)
    }

    /// Puts a server outside of the worker: it answers what agents [fetch](crate::Context::fetch) from URLs that begin with
    /// `prefix`, of several the longest.
    ///
    /// The answer, and the body in it, may take their time: whatever they wait for, a test that sends into a channel for instance,
    /// moves them on. They are dropped when the agent aborts the exchange, or crashes; a channel then says that it is closed.
    ///
    /// ```
    /// use durable_agents_core::http::{Body, Response};
    /// use durable_agents_core::testing::MemoryHost;
    /// use futures::channel::mpsc;
    ///
    /// let host = MemoryHost::new();
    /// let (pieces, body) = mpsc::unbounded();
    /// let body = std::cell::Cell::new(Some(body));
    /// host.serve_url("https://example.com/", move |_| {
    ///     let body = body.take().map(Body::stream).unwrap_or_default();
    ///     async { Ok(Response { body, ..Response::default() }) }
    /// });
    /// // …an agent fetches; then the test decides what comes of it:
    /// pieces.unbounded_send(Ok("first".into()))?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn serve_url<F>(&self, prefix: &str, serve: impl Fn(Request) -> F + 'static)
    where
        F: Future<Output = Result<Response, HostError>> + 'static,
    {
        self.world.outside.serve(prefix, Rc::new(move |request| Box::pin(serve(request))));
    }

    /// Runs everything that can happen at this time.
    pub fn run_until_idle(&self) {
        self.world.run_until_idle();
    }

    /// Moves the clock, and fires the timers and alarms on the way, each at its own time.
    pub fn advance(&self, duration: Duration) {
        self.world.advance_to(after(self.now_ms(), duration));
    }

    /// Unix time in milliseconds, as agents see it. Begins at the same moment in every world.
    pub fn now_ms(&self) -> u64 {
        self.world.now_ms.get()
    }

    /// The lines that were logged, oldest first.
    pub fn log(&self) -> Vec<String> {
        self.log_from(Level::Debug)
    }

    /// The lines that matter as much as `level` or more, oldest first.
    pub fn log_from(&self, level: Level) -> Vec<String> {
        self.world.log.borrow().iter().filter(|(of, _)| *of >= level).map(|(_, line)| line.clone()).collect()
    }

    /// The same, which are forgotten then.
    pub fn take_log(&self) -> Vec<String> {
        self.world.log.take().into_iter().map(|(_, line)| line).collect()
    }

    /// Whether lines go to the terminal too, as they are logged. Default: no.
    pub fn print_log(&self, print: bool) {
        self.world.print_log.set(print);
    }

    /// Sets a variable or secret of the worker.
    pub fn set_var(&self, name: &str, value: &str) {
        self.world.vars.borrow_mut().insert(name.to_owned(), value.to_owned());
    }

    /// Lets idle objects leave memory before events: what an agent keeps in memory only is lost then. A busy one stays, and so
    /// does one with sockets that do not hibernate.
    pub fn evict_between_events(&self, plan: EvictPlan) {
        self.world.evict_plan.set(plan);
    }

    /// How many events have reached objects.
    pub fn events(&self) -> u64 {
        self.world.delivered.get()
    }

    /// Whether the platform answers a client's close frame by itself, as it does for compatibility dates from 2026-04-07 on.
    /// Default: yes. Without, the client waits until the agent's runtime has answered.
    pub fn auto_reply_to_close(&self, reply: bool) {
        self.world.auto_reply_to_close.set(reply);
    }
}

impl Default for MemoryHost {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for MemoryHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHost").field("now_ms", &self.now_ms()).finish_non_exhaustive()
    }
}

/// The worker around all objects of this world, as a hook of the router has it.
impl Surroundings for MemoryHost {
    fn now_ms(&self) -> u64 {
        Self::now_ms(self)
    }

    fn fill_random(&self, bytes: &mut [u8]) {
        self.world.random.fill(bytes);
    }

    fn log(&self, level: Level, line: &str) {
        self.world.write_log(level, line);
    }

    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'static, ()> {
        Box::pin(self.world.sleep(duration, true))
    }

    fn var(&self, name: &str) -> Option<String> {
        self.world.vars.borrow().get(name).cloned()
    }

    fn verify(&self, key: &VerifyingKey, data: &[u8], signature: &[u8]) -> LocalBoxFuture<'static, Result<bool, HostError>> {
        Box::pin(ready(Ok(crypto::verify(key, data, signature))))
    }
}

/// Runs a scenario as it is, then with an eviction before every event, then with one before each single event.
///
/// The scenario must hold in all of them: clients see the same, whenever the platform takes an idle object out of memory. Each run
/// gets a world of its own; if one fails, the terminal says which.
pub fn for_every_eviction(scenario: impl Fn(&MemoryHost)) {
    let run = |plan| {
        let host = MemoryHost::new();
        host.evict_between_events(plan);
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| scenario(&host))) {
            #[allow(clippy::print_stderr, reason = "it is printed beside the panic")]
            {
                eprintln!("the scenario failed with {plan:?}");
            }
            resume_unwind(panic);
        }
        host.events()
    };
    let mut events = run(EvictPlan::Never);
    run(EvictPlan::Always);
    let mut event = 1;
    while event <= events {
        events = run(EvictPlan::At(event));
        event += 1;
    }
}

/// The beginning of a message, for people.
fn excerpt(message: &Message) -> String {
    match message {
        Message::Text(text) => match text.char_indices().nth(80) {
            Some((end, _)) => format!("{:?}…", &text[..end]),
            None => format!("{text:?}"),
        },
        Message::Binary(bytes) => format!("of {} bytes", bytes.len()),
    }
}
