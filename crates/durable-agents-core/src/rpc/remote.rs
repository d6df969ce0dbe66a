//! Calls from Rust: one agent's methods, called by another or by the worker.
//!
//! A call is a `POST` over the object's own `fetch`: header [`CALL_HEADER`] says what is called and by whom, the body holds the
//! arguments. Header [`ANSWER_HEADER`] of the answer says what its body is: the result, or words about a failure. A client cannot send
//! a call: the header is taken off whatever comes from outside, and the URL is no place that a request from outside can name.

use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{Either, LocalBoxFuture, select};
use http::{HeaderValue, Method};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Answer;
use crate::agent::Agent;
use crate::brief::{MAX_ERROR_BYTES, brief};
use crate::host::{HostError, HostFault, Level, Target};
use crate::http::{Body, CONTENT_TYPE, Request, Response, StatusCode};
use crate::json::{self, Json};

/// Header that makes a request a call; never let in from outside.
pub(crate) const CALL_HEADER: &str = "x-agents-call";

/// Header of the answer to a call.
pub(crate) const ANSWER_HEADER: &str = "x-agents-answer";

/// Where calls go. `.invalid` is nobody's, so no request from outside has this URL.
pub(crate) const CALL_URL: &str = "https://agent.invalid/call";

/// Most agents that may wait for each other in one chain of calls.
pub(crate) const MAX_HOPS: usize = 16;

/// What a call from Rust comes to.
pub type Calling<'w, T> = LocalBoxFuture<'w, Result<T, CallError>>;

/// Why a call from Rust has no result.
///
/// [`Method`](Self::Method) holds the words that the method meant for its caller. All others are about the call itself: an agent that
/// hands one on with `?` tells its own client `Internal Server Error`, and the log the rest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// The method failed; its own words.
    #[error("{0}")]
    Method(String),
    /// The method, or the start of its agent, panicked or failed for a reason that is for the log of that agent.
    #[error("Internal Server Error")]
    Internal,
    /// There is no such method, or it may not be called; the text says which. Nothing ran.
    #[error("{0}")]
    NoSuchMethod(String),
    /// The arguments cannot be written as JSON, or do not fit the method there is now; the text names the argument. Nothing ran.
    #[error("{0}")]
    Arguments(String),
    /// The worker has no Durable Object binding of that name. Nothing ran.
    #[error("there is no Durable Object binding {0:?}")]
    NotFound(String),
    /// The object has too much to do: calling again would add to it. The platform's words.
    #[error("the agent is overloaded: {0}")]
    Overloaded(String),
    /// The platform says that calling again may help. Whether the method ran is not known. The platform's words.
    #[error("the agent could not be reached for now: {0}")]
    Retryable(String),
    /// The object lost its memory during the call, by a crash or a deploy. What it had stored stays. The platform's words.
    #[error("the agent was reset: {0}")]
    Reset(String),
    /// No answer within that time. The method goes on.
    #[error("no answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The agents that wait for each other, ending with the one that was called: it is still starting and waits for this very call,
    /// or more than 16 of them wait. Nothing ran.
    #[error("a cycle of calls: {0}")]
    Cycle(String),
    /// The answer is none, or does not fit the type that the caller expects.
    #[error("unreadable answer: {0}")]
    Reply(String),
    /// Anything else that the platform said.
    #[error("the agent could not be reached: {0}")]
    Host(String),
}

impl CallError {
    /// The platform's own words, if it is the platform that failed.
    pub(crate) fn platform_words(&self) -> Option<&String> {
        match self {
            Self::Overloaded(words) | Self::Retryable(words) | Self::Reset(words) | Self::Host(words) => Some(words),
            _ => None,
        }
    }

    /// Whether its text was made for whoever called, and may be told further.
    pub(crate) fn is_public(&self) -> bool {
        matches!(self, Self::Method(_))
    }

    fn of_host(error: HostError, binding: &str) -> Self {
        match error.into() {
            HostFault { unbound: true, .. } => Self::NotFound(binding.to_owned()),
            HostFault { overloaded: true, message, .. } => Self::Overloaded(message),
            HostFault { reset: true, message, .. } => Self::Reset(message),
            HostFault { retryable: true, message, .. } => Self::Retryable(message),
            HostFault { message, .. } => Self::Host(message),
        }
    }
}

/// Something through which the methods of an agent can be called: [`AgentStub`](crate::AgentStub) inside agents, `AgentByName` in
/// the worker.
///
/// `#[callable]` makes a trait on top of it, with a method for each callable one; this is what it calls.
#[diagnostic::on_unimplemented(message = "`{Self}` is no way to reach an agent")]
pub trait Stub {
    /// Whom it reaches.
    type Agent: Agent;

    /// Calls a method by its name on the wire. `args` is a JSON array.
    fn call_method<'w>(&'w self, method: &'w str, args: Result<String, serde_json::Error>) -> Calling<'w, Answer>;
}

/// A type of an argument of a method that is called from Rust: one that is `Serialize`.
///
/// Its lifetime, and that it has no supertrait, make a bound on it one that rustc checks where a method is called, not where its trait
/// is made: an agent may have methods that only clients can call.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent to another agent",
    note = "a method can be called from Rust if its arguments are `Serialize`; clients can call it either way"
)]
pub trait WireArgument<'w> {
    /// Appends its JSON.
    ///
    /// # Errors
    /// It cannot be written as JSON.
    fn write(&self, json: &mut Vec<u8>) -> Result<(), serde_json::Error>;
}

impl<T: Serialize> WireArgument<'_> for T {
    fn write(&self, json: &mut Vec<u8>) -> Result<(), serde_json::Error> {
        serde_json::to_writer(json, self)
    }
}

/// A type of a result of a method that is called from Rust: one that is `DeserializeOwned`. Else as [`WireArgument`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be read from another agent's answer",
    note = "a method can be called from Rust if its result is `DeserializeOwned`; clients can call it either way"
)]
pub trait WireResult<'w>: Sized {
    /// Reads it from JSON.
    ///
    /// # Errors
    /// The JSON is none, or another type's.
    fn read(json: &str) -> Result<Self, serde_json::Error>;
}

impl<T: DeserializeOwned> WireResult<'_> for T {
    fn read(json: &str) -> Result<Self, serde_json::Error> {
        json::read(json)
    }
}

/// Arguments as a JSON array.
///
/// # Errors
/// One cannot be written as JSON.
pub fn array_of<'w>(arguments: &[&dyn WireArgument<'w>]) -> Result<String, serde_json::Error> {
    let mut json = vec![b'['];
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 {
            json.push(b',');
        }
        argument.write(&mut json)?;
    }
    json.push(b']');
    String::from_utf8(json).map_err(serde::ser::Error::custom)
}

/// Reads the result out of an answer.
pub fn typed<'w, T: WireResult<'w> + 'w>(answer: Calling<'w, Answer>) -> Calling<'w, T> {
    Box::pin(async move {
        let answer = answer.await?;
        let json = answer.as_ref().map_or("null", Json::as_str);
        T::read(json).map_err(|wrong| CallError::Reply(wrong.to_string()))
    })
}

/// How a [`Stub`] reaches its agent. Adapters implement it; [`Remote`] does the rest.
pub trait Transport {
    /// Sends the request that a call is.
    fn send(&self, request: Request) -> LocalBoxFuture<'_, Result<Response, HostError>>;

    /// Ends after `duration`.
    fn sleep(&self, duration: Duration) -> LocalBoxFuture<'_, ()>;

    /// Writes one line to the log.
    fn log(&self, level: Level, line: &str);
}

/// One call on its way out.
pub struct Remote<'w> {
    pub(crate) trace: Trace,
    pub(crate) origin: String,
    target: &'w Target,
    timeout: Duration,
}

impl fmt::Debug for Remote<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("target", self.target).field("trace", &self.trace).finish_non_exhaustive()
    }
}

impl<'w> Remote<'w> {
    /// How long a call waits for its answer unless it is told otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A call that nobody's call has caused; `random` makes the id under which logs tell of it.
    pub fn new(target: &'w Target, timeout: Duration, random: [u8; 16]) -> Self {
        let trace = Trace { request: uuid(random), chain: Vec::new() };
        Self { trace, origin: String::new(), target, timeout }
    }

    pub(crate) fn within(target: &'w Target, timeout: Duration, trace: Trace, origin: String) -> Self {
        Self { trace, origin, target, timeout }
    }

    /// Makes the call and waits for its answer. A failure is logged with the id of the request.
    ///
    /// # Errors
    /// [`CallError`].
    pub async fn call(
        self,
        transport: &dyn Transport,
        method: &str,
        args: Result<String, serde_json::Error>,
    ) -> Result<Answer, CallError> {
        let outcome = self.attempt(transport, method, args).await;
        if let Err(error) = &outcome {
            // The method's own words are no fault of anybody here.
            let level = if error.is_public() { Level::Warn } else { Level::Error };
            let Self { trace: Trace { request, .. }, origin, target: Target { binding, name, .. }, .. } = &self;
            let error = brief(MAX_ERROR_BYTES, format_args!("{error}"));
            transport.log(
                level,
                &format!("{origin}event=call to={binding}/{name:?} method={method:?} request={request} error={error:?}"),
            );
        }
        outcome
    }

    async fn attempt(
        &self,
        transport: &dyn Transport,
        method: &str,
        args: Result<String, serde_json::Error>,
    ) -> Result<Answer, CallError> {
        let args = args.map_err(|wrong| CallError::Arguments(format!("arguments cannot be written as JSON: {wrong}")))?;
        if self.trace.chain.len() > MAX_HOPS {
            let Target { binding, name, .. } = self.target;
            return Err(CallError::Cycle(self.trace.path(binding, name)));
        }
        let header = self.trace.to_header(method);
        let time_is_up = transport.sleep(self.timeout);
        let sent = transport.send(request_of(header, args));
        let answered = pin!(async {
            let Response { status, headers, body } = sent.await?;
            Ok((status, headers, body.bytes().await.map_err(|error| HostError::new(error.to_string()))?))
        });
        let (status, headers, body) = match select(answered, time_is_up).await {
            Either::Left((answer, _)) => answer.map_err(|error| CallError::of_host(error, &self.target.binding))?,
            Either::Right(((), _)) => return Err(CallError::TimedOut(self.timeout)),
        };
        if status != StatusCode::OK {
            return Err(CallError::Reply(format!("HTTP status {}", status.as_u16())));
        }
        read_answer(headers.get(ANSWER_HEADER), body)
    }
}

/// The request that a call is.
fn request_of(header: HeaderValue, args: String) -> Request {
    let mut request = Request::new(Method::POST, CALL_URL, args);
    request.put_header(CALL_HEADER, header);
    request.put_header(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    request
}

/// What a call belongs to: an id for the logs, and who waits for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Trace {
    pub(crate) request: String,
    // The outermost caller first.
    pub(crate) chain: Vec<Hop>,
}

/// One agent that waits for an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hop {
    pub(crate) class: String,
    pub(crate) name: String,
    // Which wake of which object: the same name may be another instance in another jurisdiction, and an object that was reset no longer
    // waits.
    pub(crate) wake: u64,
}

impl Trace {
    /// The trace of a call that the agent `hop` makes: within `cause` if it serves a call itself.
    pub(crate) fn of(cause: Option<&Rc<Self>>, hop: Hop, random: impl FnOnce() -> String) -> Self {
        let mut trace = match cause {
            Some(cause) => Self::clone(cause),
            None => Self { request: random(), chain: Vec::new() },
        };
        trace.chain.push(hop);
        trace
    }

    /// The chain as a text, ending with whom the call is for.
    pub(crate) fn path(&self, class: &str, name: &str) -> String {
        let mut path = String::new();
        for hop in &self.chain {
            path.push_str(&format!("{}/{} → ", hop.class, hop.name));
        }
        path + class + "/" + name
    }

    /// The trace and the method as fields of a query string: characters that a header may hold.
    fn to_header(&self, method: &str) -> HeaderValue {
        let mut fields = form_urlencoded::Serializer::new(String::new());
        fields.append_pair(METHOD, method).append_pair(REQUEST, &self.request);
        for hop in &self.chain {
            fields.append_pair(CLASS, &hop.class).append_pair(NAME, &hop.name).append_pair(WAKE, &hop.wake.to_string());
        }
        HeaderValue::from_str(&fields.finish()).unwrap_or_else(|_| HeaderValue::from_static(""))
    }
}

// The fields of the header. The last three are there once for each hop.
const METHOD: &str = "method";
const REQUEST: &str = "request";
const CLASS: &str = "class";
const NAME: &str = "name";
const WAKE: &str = "wake";

/// A call as it arrives.
pub(crate) struct Incoming {
    pub(crate) method: String,
    pub(crate) trace: Rc<Trace>,
}

impl Incoming {
    /// Reads the header. `None` if it is none of ours.
    // Not a part of what every request runs through, which has to be compiled before the first answer.
    #[inline(never)]
    pub(crate) fn from_header(value: &str) -> Option<Self> {
        let mut fields = form_urlencoded::parse(value.as_bytes());
        let mut next = |name: &str| fields.next().filter(|(known, _)| known == name).map(|(_, value)| value.into_owned());
        let (method, request) = (next(METHOD)?, next(REQUEST)?);
        let mut chain = Vec::new();
        while let Some(class) = next(CLASS) {
            chain.push(Hop { class, name: next(NAME)?, wake: next(WAKE)?.parse().ok()? });
        }
        Some(Self { method, trace: Rc::new(Trace { request, chain }) })
    }
}

/// What kind of answer it is: what its body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The result as JSON; nothing if the method has none.
    Result,
    /// The method's words.
    Method,
    /// Nothing.
    Internal,
    /// Words about the method.
    NoSuchMethod,
    /// Words about an argument.
    Arguments,
    /// The chain of agents.
    Cycle,
}

impl Kind {
    const ALL: [Self; 6] = [Self::Result, Self::Method, Self::Internal, Self::NoSuchMethod, Self::Arguments, Self::Cycle];

    /// Name in the header.
    fn name(self) -> &'static str {
        match self {
            Self::Result => "result",
            Self::Method => "method",
            Self::Internal => "internal",
            Self::NoSuchMethod => "no-such-method",
            Self::Arguments => "arguments",
            Self::Cycle => "cycle",
        }
    }
}

/// The answer to a call.
pub(crate) fn answer_to_code(outcome: Result<Answer, (Kind, String)>) -> Response {
    let (kind, body) = match outcome {
        Ok(result) => (Kind::Result, result.map_or(Body::Empty, |json| String::from(json).into())),
        Err((kind, words)) => (kind, words.into()),
    };
    let mut response = Response { body, ..Response::default() };
    response.headers.put(ANSWER_HEADER, HeaderValue::from_static(kind.name()));
    response
}

fn read_answer(kind: Option<&HeaderValue>, body: Bytes) -> Result<Answer, CallError> {
    let Some(kind) = kind.and_then(|name| Kind::ALL.into_iter().find(|kind| name == kind.name())) else {
        return Err(CallError::Reply(format!("it has no {ANSWER_HEADER} that this version knows")));
    };
    let text = String::from_utf8(body.into()).map_err(|wrong| CallError::Reply(wrong.to_string()))?;
    Err(match kind {
        Kind::Result if text.is_empty() => return Ok(None),
        Kind::Result => match Json::parse(text) {
            Some(json) => return Ok(Some(json)),
            None => CallError::Reply("it is no JSON".to_owned()),
        },
        Kind::Method => CallError::Method(text),
        Kind::Internal => CallError::Internal,
        Kind::NoSuchMethod => CallError::NoSuchMethod(text),
        Kind::Arguments => CallError::Arguments(text),
        Kind::Cycle => CallError::Cycle(text),
    })
}

/// A version 4 UUID of 16 random bytes.
pub(crate) fn uuid(random: [u8; 16]) -> String {
    let bits = u128::from_be_bytes(random) & !(0xf000 << 64) & !(0xc000 << 48) | 0x4000 << 64 | 0x8000 << 48;
    let hex = format!("{bits:032x}");
    let part = |from: usize, to: usize| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-{}-{}-{}", part(0, 8), part(8, 12), part(12, 16), part(16, 20), part(20, 32))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hop(class: &str, name: &str, wake: u64) -> Hop {
        Hop { class: class.to_owned(), name: name.to_owned(), wake }
    }

    #[test]
    fn a_header_holds_any_method_and_any_chain() {
        let odd = "a b+c&name=d%41/ü\n\u{1F600}";
        for chain in [Vec::new(), vec![hop("Chat", odd, 0)], vec![hop("Chat", "", u64::MAX), hop("Desk", "wake", 7)]] {
            let trace = Trace { request: uuid([7; 16]), chain };
            let header = trace.to_header(odd);
            let text = header.to_str().expect("visible ASCII");
            let call = Incoming::from_header(text).expect("one of ours");
            assert_eq!((call.method.as_str(), &*call.trace), (odd, &trace), "{text}");
        }
    }

    #[test]
    fn what_is_no_call_is_none() {
        for header in [
            "",
            "method=a",
            "request=a&method=b",
            "method=a&request=b&class=c",
            "method=a&request=b&class=c&name=d",
            "method=a&request=b&class=c&name=d&wake=-1",
            "method=a&request=b&class=c&name=d&wake=1&class=e",
        ] {
            assert!(Incoming::from_header(header).is_none(), "{header}");
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_given() {
        let told = |kind, words: &str| Err((kind, words.to_owned()));
        let json = |text: &str| Json::parse(text.to_owned()).expect("JSON");
        for (given, read) in [
            (Ok(None), "Ok(None)"),
            (Ok(Some(json("null"))), "Ok(Some(null))"),
            (Ok(Some(json(r#"{"a": "ü"}"#))), r#"Ok(Some({"a": "ü"}))"#),
            (told(Kind::Method, "no"), r#"Err(Method("no"))"#),
            (told(Kind::Internal, ""), "Err(Internal)"),
            (told(Kind::NoSuchMethod, "no"), r#"Err(NoSuchMethod("no"))"#),
            (told(Kind::Arguments, "no"), r#"Err(Arguments("no"))"#),
            (told(Kind::Cycle, "a → b"), r#"Err(Cycle("a → b"))"#),
        ] {
            let Response { headers, body, .. } = answer_to_code(given);
            let body = futures::executor::block_on(body.bytes()).expect("bytes");
            assert_eq!(format!("{:?}", read_answer(headers.get(ANSWER_HEADER), body)), read);
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let unreadable = |kind: Option<&'static str>, body: &'static [u8]| {
            let kind = kind.map(HeaderValue::from_static);
            match read_answer(kind.as_ref(), Bytes::from_static(body)) {
                Err(CallError::Reply(why)) => why,
                outcome => panic!("{outcome:?}"),
            }
        };
        assert_eq!(unreadable(None, b"1"), "it has no x-agents-answer that this version knows");
        assert_eq!(unreadable(Some("riddle"), b"1"), "it has no x-agents-answer that this version knows");
        assert_eq!(unreadable(Some("result"), b"{"), "it is no JSON");
        assert_eq!(unreadable(Some("result"), b"1 2"), "it is no JSON");
        assert!(unreadable(Some("method"), b"\xff").starts_with("invalid utf-8"));
    }
}
