//! The world: its clock, its objects, and the single thread on which everything happens, one thing after another.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::future::{Future, pending, poll_fn};
use std::pin::pin;
use std::rc::{Rc, Weak};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::LocalBoxFuture;

use super::disk::Disk;
use super::object::{self, ObjectHost};
use super::outside::Outside;
use super::random::Random;
use super::socket::{Knock, Pipe, ServerEnd, Told, Up};
use super::{CrashPoint, EvictPlan};
use crate::host::{Host, HostError, HostFault, Level, Target};
use crate::http::{Request, Response, StatusCode};
use crate::runtime::{Reply, Runtime};
use crate::time::after;

/// 2023-11-14T22:13:20Z: a round number of milliseconds that nobody takes for a duration.
const START_MS: u64 = 1_700_000_000_000;

/// Steps without rest after which something turns in a circle.
const MAX_STEPS: u32 = 1_000_000;

/// How often an alarm that fails is repeated, and after how long for the first time; each time after twice as long.
///
/// Source: <https://developers.cloudflare.com/durable-objects/api/alarms/>
const MAX_ALARM_RETRIES: u32 = 6;
const FIRST_ALARM_RETRY_MS: u64 = 2_000;

/// Makes the runtime of one class.
pub(super) type Make = fn(Rc<dyn Host>) -> Runtime;

pub(super) struct World {
    pub(super) now_ms: Rc<Cell<u64>>,
    pub(super) random: Rc<Random>,
    pub(super) log: RefCell<Vec<(Level, String)>>,
    pub(super) print_log: Cell<bool>,
    pub(super) vars: RefCell<BTreeMap<String, String>>,
    pub(super) bindings: RefCell<Vec<(String, Make)>>,
    pub(super) outside: Outside,
    pub(super) auto_reply_to_close: Cell<bool>,
    pub(super) evict_plan: Cell<EvictPlan>,
    pub(super) delivered: Cell<u64>,
    slots: RefCell<Vec<Rc<Slot>>>,
    events: RefCell<VecDeque<(Rc<Slot>, Event)>>,
    tasks: RefCell<BTreeMap<u64, Task>>,
    next_number: Cell<u64>,
    // Since the world was at rest.
    steps: Cell<u32>,
    ready: Arc<Ready>,
    timers: RefCell<BTreeMap<(u64, u64), Weak<Timer>>>,
}

/// What the platform has for an object.
pub(super) enum Event {
    Fetch { request: Request, pipe: Option<Rc<Pipe>>, reply: oneshot::Sender<Result<Response, HostError>> },
    Socket(Rc<Pipe>, Up),
    Alarm,
}

/// Something that leaves an object once what it wrote before is on disk.
type Effect = Box<dyn FnOnce(&Rc<World>)>;

/// One object: what outlives its memory, and its memory if it is awake.
pub(super) struct Slot {
    world: Weak<World>,
    pub(super) target: Target,
    make: Make,
    pub(super) disk: Rc<Disk>,
    pub(super) pipes: RefCell<Vec<Rc<Pipe>>>,
    pub(super) alarm: Cell<Option<u64>>,
    // What the current turn made of the alarm.
    pub(super) next_alarm: Cell<Option<Option<u64>>>,
    // How often the handler of the current alarm has failed, while one runs or is to run again.
    alarm_failures: Cell<u32>,
    is_alarm_running: Cell<bool>,
    // The alarm was set or deleted while the handler of the current one runs, and that is on disk.
    is_alarm_changed: Cell<bool>,
    pub(super) failures: RefCell<VecDeque<HostError>>,
    // What its storage refuses.
    pub(super) refused: RefCell<Option<String>>,
    // The text message that the platform answers by itself, and the answer.
    pub(super) auto_response: RefCell<Option<(String, String)>>,
    runtime: RefCell<Option<Runtime>>,
    awake: Cell<Option<u64>>,
    pub(super) wakes: Cell<u64>,
    pub(super) crashes: Cell<u64>,
    // A poll of one of its tasks is under way.
    pub(super) in_turn: Cell<bool>,
    // It crashed within this turn: nothing it does counts any more.
    pub(super) dying: Cell<bool>,
    // It wants to be reset at the end of this turn.
    pub(super) aborted: Cell<bool>,
    outbox: RefCell<Vec<Effect>>,
    pub(super) crash_at: Cell<Option<CrashPoint>>,
    pub(super) storage_calls: Cell<u64>,
    pub(super) attachment_writes: Cell<u64>,
    await_points: Cell<u64>,
    // Where the counters stood when `crash_at` was set.
    counted_from: Cell<(u64, u64)>,
}

impl Slot {
    /// Whether that wake still is the one in memory.
    pub(super) fn is_awake(&self, wake: u64) -> bool {
        self.awake.get() == Some(wake) && !self.dying.get()
    }

    pub(super) fn is_running(&self) -> bool {
        self.awake.get().is_some()
    }

    /// Lets something out: now, or at the end of the turn if one is under way.
    pub(super) fn emit(&self, effect: impl FnOnce(&Rc<World>) + 'static) {
        if self.in_turn.get() {
            self.outbox.borrow_mut().push(Box::new(effect));
        } else if let Some(world) = self.world.upgrade() {
            effect(&world);
        }
    }

    pub(super) fn set_crash_point(&self, point: Option<CrashPoint>) {
        self.crash_at.set(point);
        self.counted_from.set((self.storage_calls.get(), self.await_points.get()));
    }

    /// Counts a storage call, and says whether the object crashes before or after it.
    pub(super) fn count_storage_call(&self) -> Option<CrashPoint> {
        self.storage_calls.set(self.storage_calls.get() + 1);
        let count = self.storage_calls.get() - self.counted_from.get().0;
        self.crash_at.get().filter(|point| {
            self.in_turn.get() && matches!(point, CrashPoint::StorageCall(n) | CrashPoint::AfterStorageCall(n) if *n == count)
        })
    }

    fn count_await_point(&self) -> Option<CrashPoint> {
        self.await_points.set(self.await_points.get() + 1);
        let count = self.await_points.get() - self.counted_from.get().1;
        self.crash_at
            .get()
            .filter(|point| matches!(point, CrashPoint::AwaitPoint(n) | CrashPoint::AfterAwaitPoint(n) if *n == count))
    }

    fn label(&self) -> String {
        format!("{} {:?}", self.target.binding, self.target.name)
    }
}

struct Task {
    slot: Rc<Slot>,
    wake: u64,
    what: String,
    future: LocalBoxFuture<'static, ()>,
    signal: Arc<Signal>,
}

/// Numbers of tasks that want to be polled, in order.
#[derive(Default)]
struct Ready(Mutex<VecDeque<u64>>);

impl Ready {
    fn with<T>(&self, look: impl FnOnce(&mut VecDeque<u64>) -> T) -> T {
        // A panic elsewhere leaves a queue of numbers as good as it was.
        look(&mut self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

struct Signal {
    number: u64,
    queued: AtomicBool,
    ready: Arc<Ready>,
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        if !self.queued.swap(true, Ordering::Relaxed) {
            self.ready.with(|queue| queue.push_back(self.number));
        }
    }
}

/// Wakes what the test itself waits for.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[derive(Default)]
struct Timer {
    fired: Cell<bool>,
    waker: RefCell<Option<Waker>>,
    // The test waits for it, so the clock goes there by itself.
    foreground: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Rc<Self> {
        Rc::new(Self {
            now_ms: Rc::new(Cell::new(START_MS)),
            random: Rc::new(Random::new(seed)),
            log: RefCell::default(),
            print_log: Cell::default(),
            vars: RefCell::default(),
            bindings: RefCell::default(),
            outside: Outside::default(),
            auto_reply_to_close: Cell::new(true),
            evict_plan: Cell::new(EvictPlan::Never),
            delivered: Cell::default(),
            slots: RefCell::default(),
            events: RefCell::default(),
            tasks: RefCell::default(),
            next_number: Cell::default(),
            steps: Cell::default(),
            ready: Arc::default(),
            timers: RefCell::default(),
        })
    }

    pub(super) fn write_log(&self, level: Level, line: &str) {
        #[allow(clippy::print_stderr, reason = "asked for, to debug a test")]
        if self.print_log.get() {
            eprintln!("{level:?}: {line}");
        }
        self.log.borrow_mut().push((level, line.to_owned()));
    }

    fn number(&self) -> u64 {
        self.next_number.set(self.next_number.get() + 1);
        self.next_number.get()
    }

    /// The object of that address; made at the first look, as on the platform.
    pub(super) fn slot(self: &Rc<Self>, target: &Target) -> Result<Rc<Slot>, HostError> {
        let (binding, jurisdiction) = (&target.binding, &target.placement.jurisdiction);
        let is_it = |slot: &&Rc<Slot>| {
            let own = &slot.target;
            own.binding == *binding && own.name == target.name && own.placement.jurisdiction == *jurisdiction
        };
        if let Some(slot) = self.slots.borrow().iter().find(is_it) {
            return Ok(Rc::clone(slot));
        }
        let bindings = self.bindings.borrow();
        let Some((_, make)) = bindings.iter().find(|(bound, _)| bound == binding) else {
            let message = format!("no agent is bound as {binding}: call MemoryHost::bind first");
            return Err(HostError::from(HostFault { unbound: true, ..HostFault::new(message) }));
        };
        let slot = Rc::new(Slot {
            world: Rc::downgrade(self),
            target: target.clone(),
            make: *make,
            disk: Rc::new(Disk::new()),
            pipes: RefCell::default(),
            alarm: Cell::default(),
            next_alarm: Cell::default(),
            alarm_failures: Cell::default(),
            is_alarm_running: Cell::default(),
            is_alarm_changed: Cell::default(),
            failures: RefCell::default(),
            refused: RefCell::default(),
            auto_response: RefCell::default(),
            runtime: RefCell::default(),
            awake: Cell::default(),
            wakes: Cell::default(),
            crashes: Cell::default(),
            in_turn: Cell::default(),
            dying: Cell::default(),
            aborted: Cell::default(),
            outbox: RefCell::default(),
            crash_at: Cell::default(),
            storage_calls: Cell::default(),
            attachment_writes: Cell::default(),
            await_points: Cell::default(),
            counted_from: Cell::default(),
        });
        self.slots.borrow_mut().push(Rc::clone(&slot));
        Ok(slot)
    }

    pub(super) fn push_event(&self, slot: Rc<Slot>, event: Event) {
        self.events.borrow_mut().push_back((slot, event));
    }

    /// Sends a request to an object; the answer comes once the world goes on.
    pub(super) fn send_request(
        self: &Rc<Self>,
        target: &Target,
        request: Request,
        pipe: Option<Rc<Pipe>>,
    ) -> Result<oneshot::Receiver<Result<Response, HostError>>, HostError> {
        let slot = self.slot(target)?;
        if let Some(failure) = slot.failures.borrow_mut().pop_front() {
            return Err(failure);
        }
        let (reply, answer) = oneshot::channel();
        self.push_event(slot, Event::Fetch { request: super::http::seal(request), pipe, reply });
        Ok(answer)
    }

    pub(super) fn spawn(&self, slot: &Rc<Slot>, what: String, future: LocalBoxFuture<'static, ()>) {
        let Some(wake) = slot.awake.get() else { return };
        let number = self.number();
        let signal = Arc::new(Signal { number, queued: AtomicBool::new(false), ready: Arc::clone(&self.ready) });
        let task = Task { slot: Rc::clone(slot), wake, what, future, signal: Arc::clone(&signal) };
        self.tasks.borrow_mut().insert(number, task);
        signal.wake();
    }

    /// Ends when the clock has reached that time.
    pub(super) fn sleep(&self, duration: Duration, foreground: bool) -> impl Future<Output = ()> + use<> {
        let timer = Rc::new(Timer { foreground, ..Timer::default() });
        let at_ms = after(self.now_ms.get(), duration);
        self.timers.borrow_mut().insert((at_ms, self.number()), Rc::downgrade(&timer));
        poll_fn(move |cx| {
            if timer.fired.get() {
                return Poll::Ready(());
            }
            timer.waker.replace(Some(cx.waker().clone()));
            Poll::Pending
        })
    }

    /// Time of the first timer that somebody still waits for.
    fn next_timer(&self, only_foreground: bool) -> Option<(u64, u64)> {
        let mut timers = self.timers.borrow_mut();
        timers.retain(|_, timer| timer.strong_count() > 0);
        timers
            .iter()
            .find(|(_, timer)| !only_foreground || timer.upgrade().is_some_and(|timer| timer.foreground))
            .map(|(key, _)| *key)
    }

    fn next_alarm(&self) -> Option<(u64, Rc<Slot>)> {
        let slots = self.slots.borrow();
        // One that is set while its handler runs waits for the end of it.
        let waiting = slots.iter().filter(|slot| !slot.is_alarm_running.get());
        waiting.filter_map(|slot| Some((slot.alarm.get()?, Rc::clone(slot)))).min_by_key(|(at_ms, _)| *at_ms)
    }

    /// When something happens by itself next.
    pub(super) fn next_time_ms(&self) -> Option<u64> {
        let timer = self.next_timer(false).map(|(at_ms, _)| at_ms);
        let alarm = self.next_alarm().map(|(at_ms, _)| at_ms);
        timer.into_iter().chain(alarm).min()
    }

    /// Does one thing. `false`: there is nothing to do at this time.
    pub(super) fn step(self: &Rc<Self>) -> bool {
        let restless = self.do_one_thing();
        self.steps.set(if restless { self.steps.get() + 1 } else { 0 });
        assert!(self.steps.get() < MAX_STEPS, "the world does not come to rest\n{}", self.report());
        restless
    }

    fn do_one_thing(self: &Rc<Self>) -> bool {
        while let Some(number) = self.ready.with(VecDeque::pop_front) {
            // One that has ended in the meantime is no step.
            if self.poll_task(number) {
                return true;
            }
        }
        let now_ms = self.now_ms.get();
        if let Some(key) = self.next_timer(false).filter(|(at_ms, _)| *at_ms <= now_ms) {
            let timer = self.timers.borrow_mut().remove(&key).and_then(|timer| timer.upgrade());
            if let Some(timer) = timer {
                timer.fired.set(true);
                if let Some(waker) = timer.waker.take() {
                    waker.wake();
                }
            }
            return true;
        }
        let event = self.events.borrow_mut().pop_front();
        if let Some((slot, event)) = event {
            self.deliver(&slot, event);
            return true;
        }
        if let Some((_, slot)) = self.next_alarm().filter(|(at_ms, _)| *at_ms <= now_ms) {
            slot.alarm.set(None);
            slot.is_alarm_running.set(true);
            slot.is_alarm_changed.set(false);
            self.push_event(slot, Event::Alarm);
            return true;
        }
        false
    }

    pub(super) fn run_until_idle(self: &Rc<Self>) {
        while self.step() {}
    }

    /// Runs the world until `look` finds what it looks for.
    pub(super) fn run_until<T>(self: &Rc<Self>, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(self.step(), "{what} never came: the world is idle\n{}", self.report());
        }
    }

    /// Runs the world until `future` has ended, which belongs to the test and to no object.
    pub(super) fn drive<T>(self: &Rc<Self>, what: &str, future: impl Future<Output = T>) -> T {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut future = pin!(future);
        loop {
            if flag.0.swap(false, Ordering::Relaxed) {
                if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return done;
                }
            } else if !self.step() {
                let Some((at_ms, _)) = self.next_timer(true) else {
                    panic!("{what} never ended: the world is idle\n{}", self.report())
                };
                self.advance_to(at_ms);
            }
        }
    }

    /// Moves the clock, and stops at everything that is due on the way.
    pub(super) fn advance_to(self: &Rc<Self>, target_ms: u64) {
        self.run_until_idle();
        while let Some(at_ms) = self.next_time_ms().filter(|at_ms| *at_ms <= target_ms) {
            self.now_ms.set(at_ms.max(self.now_ms.get()));
            self.run_until_idle();
        }
        self.now_ms.set(target_ms.max(self.now_ms.get()));
    }

    /// Hands one event of the platform to its object, after waking it if need be.
    fn deliver(self: &Rc<Self>, slot: &Rc<Slot>, event: Event) {
        self.delivered.set(self.delivered.get() + 1);
        let evicts = match self.evict_plan.get() {
            EvictPlan::Never => false,
            EvictPlan::Always => true,
            EvictPlan::At(event) => event == self.delivered.get(),
        };
        // An object stays in memory for sockets that do not hibernate.
        if evicts && slot.pipes.borrow().iter().all(|pipe| pipe.hibernates()) {
            self.evict(slot);
        }
        match event {
            Event::Fetch { request, pipe, reply } => self.fetch(slot, request, pipe, reply),
            Event::Socket(pipe, up) => {
                let Some(told) = pipe.deliver(self, up) else { return };
                let (runtime, wake) = self.wake(slot);
                let end = Rc::new(ServerEnd { pipe, slot: Rc::downgrade(slot), wake });
                let what = match &told {
                    Told::Message(message) => format!("message {}", super::excerpt(message)),
                    Told::Closed(close) => format!("close {} {:?}", close.code, close.reason),
                    Told::Failed(message) => format!("socket error {message:?}"),
                };
                let work = async move {
                    let rest = match told {
                        Told::Message(message) => runtime.message(end, message),
                        Told::Closed(close) => runtime.closed(end, close),
                        Told::Failed(message) => runtime.socket_failed(end, message),
                    };
                    if let Some(rest) = rest {
                        rest.await;
                    }
                };
                self.spawn(slot, what, Box::pin(work));
            }
            Event::Alarm => {
                let (runtime, _) = self.wake(slot);
                let (world, owner) = (Rc::downgrade(self), Rc::clone(slot));
                let work = async move {
                    let outcome = runtime.alarm().await;
                    if let (Err(error), Some(world)) = (&outcome, world.upgrade()) {
                        world.write_log(Level::Error, &format!("{}: the alarm has failed: {error:#}", owner.label()));
                    }
                    let ended = Rc::clone(&owner);
                    owner.emit(move |world| world.end_alarm(&ended, outcome.is_ok()));
                };
                self.spawn(slot, "alarm".to_owned(), Box::pin(work));
            }
        }
    }

    /// One that has failed is repeated, unless it was set again or deleted in the meantime: the platform compares its time with the one
    /// that is stored, and drops it if they differ.
    ///
    /// Source: `ActorSqlite::armAlarmHandler` in <https://github.com/cloudflare/workerd/blob/main/src/workerd/io/actor-sqlite.c++>
    fn end_alarm(&self, slot: &Slot, succeeded: bool) {
        slot.is_alarm_running.set(false);
        let failures = slot.alarm_failures.get();
        if succeeded || slot.is_alarm_changed.get() || slot.alarm.get().is_some() || failures >= MAX_ALARM_RETRIES {
            slot.alarm_failures.set(0);
            return;
        }
        slot.alarm_failures.set(failures + 1);
        slot.alarm.set(Some(self.now_ms.get() + (FIRST_ALARM_RETRY_MS << failures)));
    }

    fn fetch(
        self: &Rc<Self>,
        slot: &Rc<Slot>,
        request: Request,
        pipe: Option<Rc<Pipe>>,
        reply: oneshot::Sender<Result<Response, HostError>>,
    ) {
        let (runtime, wake) = self.wake(slot);
        let what = format!("{} {}", request.method(), request.path());
        let knock = pipe.clone().map(|pipe| {
            let end = ServerEnd { pipe, slot: Rc::downgrade(slot), wake };
            Rc::new(Knock { world: Rc::downgrade(self), end }) as _
        });
        let (world, owner) = (Rc::downgrade(self), Rc::clone(slot));
        let work = async move {
            let answer = match runtime.fetch(request, knock) {
                Ok(answer) => answer,
                Err(rest) => rest.await,
            };
            let Some(world) = world.upgrade() else { return };
            let response = match answer {
                Reply::Switched => Response::empty(StatusCode::SWITCHING_PROTOCOLS),
                Reply::Response(response) => super::http::detach(&world, &owner, response),
                Reply::Never => return pending().await,
            };
            owner.emit(move |world| {
                if let Some(pipe) = pipe {
                    match response.status {
                        StatusCode::SWITCHING_PROTOCOLS => pipe.finish_handshake(world),
                        _ => pipe.refuse_handshake(),
                    }
                }
                // A client that has stopped waiting need not be told.
                let _ = reply.send(Ok(response));
            });
        };
        self.spawn(slot, what, Box::pin(work));
    }

    /// The object's runtime, made if the object is not in memory.
    fn wake(self: &Rc<Self>, slot: &Rc<Slot>) -> (Runtime, u64) {
        if let (Some(runtime), Some(wake)) = (&*slot.runtime.borrow(), slot.awake.get()) {
            return (runtime.clone(), wake);
        }
        let wake = slot.wakes.get() + 1;
        slot.wakes.set(wake);
        slot.awake.set(Some(wake));
        let runtime = (slot.make)(Rc::new(ObjectHost::new(self, slot, wake)));
        slot.runtime.replace(Some(runtime.clone()));
        (runtime, wake)
    }

    fn poll_task(self: &Rc<Self>, number: u64) -> bool {
        let Some(mut task) = self.tasks.borrow_mut().remove(&number) else { return false };
        task.signal.queued.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.signal));
        let slot = Rc::clone(&task.slot);
        slot.in_turn.set(true);
        let poll = task.future.as_mut().poll(&mut Context::from_waker(&waker));
        slot.in_turn.set(false);
        if self.end_turn(&slot) && poll.is_pending() && slot.is_awake(task.wake) {
            self.tasks.borrow_mut().insert(number, task);
        }
        true
    }

    /// Brings what a turn wrote to disk, then lets out what it sent. `false` if the object crashed instead.
    fn end_turn(self: &Rc<Self>, slot: &Rc<Slot>) -> bool {
        let point = slot.count_await_point();
        if slot.dying.get() || matches!(point, Some(CrashPoint::AwaitPoint(_))) {
            self.crash(slot);
            return false;
        }
        if let Err(error) = slot.disk.commit() {
            self.write_log(Level::Error, &format!("{}: commit failed, the object is reset: {error}", slot.label()));
            self.crash(slot);
            return false;
        }
        if let Some(alarm) = slot.next_alarm.take() {
            slot.alarm.set(alarm);
            slot.is_alarm_changed.set(true);
        }
        if point.is_some() {
            self.crash(slot);
            return false;
        }
        for effect in slot.outbox.take() {
            effect(self);
        }
        if slot.aborted.replace(false) {
            self.reset(slot);
            return false;
        }
        true
    }

    /// Drops an object's memory and sockets, and whatever it has not brought to disk.
    pub(super) fn crash(&self, slot: &Rc<Slot>) {
        slot.crash_at.set(None);
        slot.crashes.set(slot.crashes.get() + 1);
        self.reset(slot);
    }

    fn reset(&self, slot: &Rc<Slot>) {
        slot.awake.set(None);
        slot.auto_response.take();
        slot.disk.rollback();
        slot.next_alarm.set(None);
        slot.outbox.take();
        for pipe in slot.pipes.take() {
            pipe.lose();
        }
        // Dropping runs code of the agent, which may look at any of these again.
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        let (lost, kept): (BTreeMap<_, _>, _) = tasks.into_iter().partition(|(_, task)| Rc::ptr_eq(&task.slot, slot));
        self.tasks.borrow_mut().extend(kept);
        drop(lost);
        drop(slot.runtime.take());
        slot.outbox.take();
        slot.dying.set(false);
        slot.aborted.set(false);
        if slot.is_alarm_running.get() {
            self.end_alarm(slot, false);
        }
    }

    /// Whether work of that object is under way.
    pub(super) fn is_busy(&self, slot: &Rc<Slot>) -> bool {
        self.tasks.borrow().values().any(|task| Rc::ptr_eq(&task.slot, slot))
    }

    /// Drops an object's memory, unless it is busy. Sockets that do not hibernate go with it.
    pub(super) fn evict(&self, slot: &Rc<Slot>) -> bool {
        if self.is_busy(slot) {
            return false;
        }
        slot.awake.set(None);
        drop(slot.runtime.take());
        let (kept, lost): (Vec<_>, _) = slot.pipes.take().into_iter().partition(|pipe| pipe.hibernates());
        slot.pipes.replace(kept);
        for pipe in lost {
            pipe.lose();
        }
        true
    }

    /// What waits for what: for the author of a test that waits in vain.
    pub(super) fn report(&self) -> String {
        let mut report = String::new();
        for task in self.tasks.borrow().values() {
            let _ = writeln!(report, "  waiting: {}, {}", task.slot.label(), task.what);
        }
        if let Some(at_ms) = self.next_time_ms() {
            let wait_ms = at_ms.saturating_sub(self.now_ms.get());
            let _ = writeln!(report, "  next timer or alarm: in {wait_ms} ms, once MemoryHost::advance goes there");
        }
        let log = self.log.borrow();
        for (_, line) in log.iter().skip(log.len().saturating_sub(10)) {
            let _ = writeln!(report, "  log: {line}");
        }
        if report.is_empty() {
            report.push_str("  nobody waits for anything, and the log is empty\n");
        }
        report
    }
}

impl Drop for World {
    // Objects and their runtimes hold each other.
    fn drop(&mut self) {
        for slot in self.slots.take() {
            slot.awake.set(None);
            slot.pipes.take();
            slot.runtime.take();
        }
    }
}

/// Never ends: what a host does for a wake that is over.
pub(super) fn never<T: 'static>() -> LocalBoxFuture<'static, T> {
    Box::pin(pending())
}

/// What a caller is told when the object it has called is gone.
pub(super) fn reset() -> HostError {
    HostError::from(HostFault { reset: true, ..HostFault::new(object::RESET) })
}
