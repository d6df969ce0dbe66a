//! A client of an agent: a WebSocket as a browser has it.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use futures::channel::oneshot;
use serde_json::{Value, json};

use super::http::{Collected, collect};
use super::object::{Object, set_header};
use super::socket::{Handshake, Pipe, Up};
use super::world::World;
use crate::agent::Close;
use crate::host::HostError;
use crate::http::{Request, Response, StatusCode};
use crate::message::{Data, Message, Payload};

/// A handshake that has not begun. Nothing happens before [`start`](Self::start) or [`connect`](Self::connect).
#[must_use]
pub struct Dial {
    object: Object,
    request: Request,
    early: Option<Vec<Message>>,
}

impl Dial {
    pub(super) fn new(object: Object, request: Request) -> Self {
        Self { object, request, early: None }
    }

    /// Sets a header of the upgrade request. Panics if it is none.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        set_header(&mut self.request, name, value);
        self
    }

    /// Messages that reach the agent as soon as it has accepted the socket, and so do those sent before the handshake is over.
    pub fn early(mut self, messages: impl IntoIterator<Item = Message>) -> Self {
        self.early = Some(messages.into_iter().collect());
        self
    }

    /// Begins the handshake and comes back at once.
    pub fn start(self) -> Client {
        let Self { object: Object { world, slot }, request, early } = self;
        let pipe = Pipe::new(early.is_some());
        for message in early.into_iter().flatten() {
            pipe.send_up(&world, Up::Message(message));
        }
        let answer = world.send_request(&slot.target, request, Some(Rc::clone(&pipe)));
        Client::new(world, pipe, answer)
    }

    /// Begins the handshake, and runs the world until it is over or waits for the clock.
    pub fn connect(self) -> Client {
        let mut client = self.start();
        while !client.is_decided() && client.world.step() {}
        client
    }

    /// The same, but a refusal by an HTTP answer is an error.
    ///
    /// # Errors
    /// The answer that came instead of `101`.
    pub fn try_connect(self) -> Result<Client, Collected> {
        let mut client = self.connect();
        match client.refusal() {
            Some(answer) => Err(answer),
            None => Ok(client),
        }
    }
}

impl fmt::Debug for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dial({:?})", self.request)
    }
}

type Answer = Result<oneshot::Receiver<Result<Response, HostError>>, HostError>;

/// The client's end of a WebSocket.
///
/// What is sent is under way at once, and arrives when the world runs: each `next_…` runs it until there is something to return,
/// and panics with a report of who waits for what if that never happens. Answers close frames by itself, as browsers do.
pub struct Client {
    pub(super) world: Rc<World>,
    pipe: Rc<Pipe>,
    answer: Option<Answer>,
    refusal: RefCell<Option<Collected>>,
    calls: u32,
}

impl Client {
    pub(super) fn new(world: Rc<World>, pipe: Rc<Pipe>, answer: Answer) -> Self {
        Self { world, pipe, answer: Some(answer), refusal: RefCell::default(), calls: 0 }
    }

    /// Looks whether the handshake has come to an end.
    fn is_decided(&mut self) -> bool {
        let response = match &mut self.answer {
            None => return true,
            Some(Err(_)) => None,
            Some(Ok(answer)) => match answer.try_recv() {
                Ok(None) => return false,
                Ok(Some(outcome)) => outcome.ok(),
                Err(oneshot::Canceled) => None,
            },
        };
        self.answer = None;
        match response {
            Some(response) if self.pipe.handshake() == Handshake::Done => {
                debug_assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
            }
            response => {
                self.pipe.refuse_handshake();
                self.refusal.replace(response.and_then(|response| collect(&self.world, response).ok()));
            }
        }
        true
    }

    fn until<T>(&mut self, what: &str, mut look: impl FnMut(&Pipe) -> Option<T>) -> T {
        let world = Rc::clone(&self.world);
        world.run_until(what, || {
            self.is_decided();
            look(&self.pipe)
        })
    }

    fn rest(&mut self) {
        self.world.run_until_idle();
        self.is_decided();
    }

    /// Sends text or bytes. Before the handshake is over they wait for it; on a closed socket they are lost.
    pub fn send<'a>(&mut self, message: impl Into<Payload<'a>>) {
        let message = match message.into().data() {
            Data::Text(text) => Message::Text(text.clone().into_owned()),
            Data::Binary(bytes) => Message::Binary(bytes.clone().into_owned()),
        };
        self.pipe.send_up(&self.world, Up::Message(message));
    }

    /// Sends a value as JSON text.
    pub fn send_json(&mut self, value: &Value) {
        self.send(value.to_string());
    }

    /// Sends a state frame.
    pub fn set_state(&mut self, state: &Value) {
        self.send_json(&json!({"type": "cf_agent_state", "state": state}));
    }

    /// Calls a method and waits for its answer, `Err` being what went wrong. Other frames stay where they are.
    ///
    /// # Errors
    /// The `error` of the answer.
    pub fn call(&mut self, method: &str, args: &Value) -> Result<Value, String> {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        self.send_json(&json!({"type": "rpc", "id": id, "method": method, "args": args}));
        let answer: Value = self.until(&format!("the answer to {method}"), |pipe| {
            let mut frames = pipe.client.frames.borrow_mut();
            let is_answer = |frame: &Message| {
                let frame: Option<Value> = frame.as_text().and_then(|text| serde_json::from_str(text).ok());
                frame.filter(|frame| frame["type"] == "rpc" && frame["id"] == id.as_str() && frame["done"] != false)
            };
            let (index, answer) = frames.iter().enumerate().find_map(|(index, frame)| Some((index, is_answer(frame)?)))?;
            frames.remove(index);
            Some(answer)
        });
        match answer.get("error") {
            Some(error) => Err(error.as_str().unwrap_or_default().to_owned()),
            None => Ok(answer.get("result").cloned().unwrap_or(Value::Null)),
        }
    }

    /// The protocol frames that opened the connection, in order: identity, state, MCP servers, as far as they came.
    ///
    /// They are kept apart from the frames below. Waits for the handshake.
    pub fn greeting(&mut self) -> Vec<String> {
        self.until("the end of the handshake", |pipe| (pipe.handshake() != Handshake::Pending).then_some(()));
        self.pipe.client.greeting.borrow().clone()
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> Message {
        let next = |pipe: &Pipe| match pipe.client.frames.borrow_mut().pop_front() {
            Some(frame) => Some(Ok(Rc::unwrap_or_clone(frame))),
            None => pipe.client.close.borrow().clone().map(Err),
        };
        match self.until("a frame", next) {
            Ok(frame) => frame,
            Err(close) => panic!("a frame never came: the socket has closed with {close:?}\n{}", self.world.report()),
        }
    }

    /// The next frame, which must be text.
    pub fn next_text(&mut self) -> String {
        match self.next_frame() {
            Message::Text(text) => text,
            Message::Binary(bytes) => panic!("text was expected, {} bytes came", bytes.len()),
        }
    }

    /// The next frame, which must be JSON.
    pub fn next_json(&mut self) -> Value {
        let text = self.next_text();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("JSON was expected, {text:?} came: {error}"))
    }

    /// The next frame, which must be binary.
    pub fn next_binary(&mut self) -> Vec<u8> {
        match self.next_frame() {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => panic!("bytes were expected, {text:?} came"),
        }
    }

    /// All frames that are there once the world has come to rest.
    pub fn frames(&mut self) -> Vec<Message> {
        self.rest();
        self.pipe.client.frames.take().into_iter().map(Rc::unwrap_or_clone).collect()
    }

    /// The same, all of which must be text.
    pub fn texts(&mut self) -> Vec<String> {
        let text = |frame| match frame {
            Message::Text(text) => text,
            Message::Binary(bytes) => panic!("text was expected, {} bytes came", bytes.len()),
        };
        self.frames().into_iter().map(text).collect()
    }

    /// Lets the world come to rest, and panics if there is a frame.
    pub fn expect_no_frame(&mut self) {
        let frames = self.frames();
        let excerpts: Vec<String> = frames.iter().map(super::excerpt).collect();
        assert!(frames.is_empty(), "no frame was expected, there came {excerpts:?}");
    }

    /// Begins the close handshake, or does nothing if that has begun. Any code goes, also one that must not be sent.
    pub fn close(&mut self, code: u16, reason: &str) {
        self.pipe.send_up(&self.world, Up::Close(Some(code), reason.to_owned()));
    }

    /// The same with a close frame that has no code: the agent sees 1005.
    pub fn close_without_code(&mut self) {
        self.pipe.send_up(&self.world, Up::Close(None, String::new()));
    }

    /// Loses the connection without a close frame: both sides see 1006.
    pub fn cut(&mut self) {
        self.pipe.send_up(&self.world, Up::Cut);
    }

    /// Loses the connection by a fault that the platform reports to the agent as an error.
    pub fn fail(&mut self, message: &str) {
        self.pipe.send_up(&self.world, Up::Fail(message.to_owned()));
    }

    /// Makes the platform report the end of the connection once more, to an agent that knows of it.
    pub fn close_again(&mut self) {
        self.pipe.send_up(&self.world, Up::CloseAgain);
    }

    /// Does not answer close frames any more until [`answer_close`](Self::answer_close): a client that is slow or has hung.
    pub fn hold_close_answer(&mut self) {
        self.pipe.client.holds_answer.set(true);
    }

    /// Answers the close frame that came, if one did.
    pub fn answer_close(&mut self) {
        self.rest();
        self.pipe.client.holds_answer.set(false);
        self.pipe.answer_close(&self.world);
    }

    /// Makes every send of the agent to this client fail with `message`, on a socket that looks open.
    pub fn break_sends(&mut self, message: &str) {
        self.pipe.broken.replace(Some(message.to_owned()));
    }

    /// How the connection ended for this client: by the server's close frame, or by 1006. Waits for it.
    pub fn close_event(&mut self) -> Close {
        self.until("the end of the connection", |pipe| pipe.client.close.borrow().clone())
    }

    /// The same if it has ended once the world has come to rest.
    pub fn closed(&mut self) -> Option<Close> {
        self.rest();
        self.pipe.client.close.borrow().clone()
    }

    /// Whether, once the world has come to rest, the handshake is over and nobody has begun to close.
    pub fn is_open(&mut self) -> bool {
        self.rest();
        self.pipe.handshake() == Handshake::Done && self.pipe.client.is_open()
    }

    /// The answer that came instead of `101`, if one did. A crash during the handshake leaves none.
    pub fn refusal(&mut self) -> Option<Collected> {
        self.is_decided();
        self.refusal.borrow().clone()
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let browser = &self.pipe.client;
        f.debug_struct("Client")
            .field("handshake", &self.pipe.handshake())
            .field("frames", &browser.frames.borrow().len())
            .field("close", &browser.close.borrow())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::MemoryHost;
    use super::*;
    use crate::agent::Agent;
    use crate::connection::Connection;
    use crate::context::Context;
    use crate::error::Result;
    use crate::resume::{Resume, ResumeLimits};

    struct Crier;

    impl Agent for Crier {
        type State = ();
        type ConnectionState = ();
        type Props = ();

        const CLASS: &'static str = "Crier";

        fn new(_: &Context<Self>) -> Self {
            Self
        }

        async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
            Resume::new(ResumeLimits::new()).greet(cx, connection, request)
        }

        async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
            match message.as_text() {
                Some("broadcast") => cx.broadcast(message, &[]),
                Some("send_to") => drop(cx.send_to(cx.connections(), message)),
                Some("resume") => Resume::new(ResumeLimits::new()).broadcast(cx, message)?,
                _ => cx.connections().try_for_each(|each| each.send(&message))?,
            }
            connection.send("done")?;
            Ok(())
        }
    }

    #[test]
    fn what_goes_to_many_is_made_for_the_platform_once() {
        for (way, rest, once) in [
            ("broadcast", "", true),
            ("send_to", "", true),
            ("resume", "", true),
            ("resume", "?resume", true),
            ("one by one", "", false),
        ] {
            let host = MemoryHost::new();
            let object = host.agent::<Crier>("a");
            let mut clients = [object.connect(rest), object.connect(rest)];
            for client in &mut clients {
                client.frames();
            }
            clients[0].send(way);
            host.run_until_idle();
            let frames = clients.each_ref().map(|client| client.pipe.client.frames.borrow().front().cloned().expect("sent"));
            assert_eq!(frames[0], frames[1], "{way}");
            assert_eq!(Rc::ptr_eq(&frames[0], &frames[1]), once, "{way} {rest}");
        }
    }
}
