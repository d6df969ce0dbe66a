//! Calls of methods: by clients on their sockets, and by other agents and the worker. Each gets exactly one answer.

use std::ops::Range;
use std::rc::Rc;

use futures::future::LocalBoxFuture;

use super::fault::is_internal;
use super::{Reply, Rest, Runtime, rest_of};
use crate::brief::{MAX_ERROR_BYTES, MAX_JSON_ERROR_BYTES, brief};
use crate::error::{Error, REQUEST_FAILED};
use crate::host::{HostError, Level, SocketError};
use crate::http::Request;
use crate::instance::{Caller, Found, Method};
use crate::lifecycle::Barred;
use crate::link::Link;
use crate::message::Message;
use crate::rpc::{
    Answer, Args, ArgumentError, CALL_HEADER, CALL_URL, Incoming, Kind, Outlet, StreamError, Trace, answer_to_code,
};
use crate::wire::client::Call;
use crate::wire::server::{rpc_error, rpc_result};

/// A client's call of a method that there is.
pub(super) struct Known {
    method: Method,
    // A string, as JSON text.
    id: String,
    // Where the arguments are in the message.
    args: Range<usize>,
}

/// Serves a client's call of a method: its id, as JSON text, and its arguments.
pub(crate) type Serve = fn(&Runtime, Rc<Link>, Method, String, Args) -> Option<Rest>;

/// Serves a call by another agent or by the worker.
pub(crate) type ServeCode = fn(Runtime, Method, Rc<Trace>, Request) -> LocalBoxFuture<'static, Outcome>;

/// What a call by another agent or by the worker comes to.
type Outcome = Result<Answer, (Kind, String)>;

/// What the sender of a call that cannot be read is told.
const OTHER_VERSION: &str = "the call is none that this version knows: build caller and callee with the same one";

/// What a request calls, if it is a call from Rust; `Some(None)` if that cannot be read.
pub(super) fn incoming(request: &mut Request) -> Option<Option<Incoming>> {
    // The URL first: it costs nothing, and no request from outside has it.
    if request.url().as_str() == CALL_URL { incoming_at_call_url(request) } else { None }
}

// Not a part of what every request runs through.
#[inline(never)]
fn incoming_at_call_url(request: &mut Request) -> Option<Option<Incoming>> {
    let header = request.header(CALL_HEADER)?;
    request.hide_header(CALL_HEADER);
    Some(Incoming::from_header(&header))
}

impl Runtime {
    /// Finds the method of a call, or refuses the call. Nothing is copied before there is a method for it.
    pub(super) fn look_up(&self, link: &Rc<Link>, call: Call<'_>, message: &Message) -> Option<Known> {
        match self.entity.find(&call.method) {
            Found::Method(method) => {
                let (json, text) = (call.args, message.as_bytes());
                let start = (json.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
                Some(Known { method, id: call.id.into_owned(), args: start..start + json.len() })
            }
            found => {
                self.shell().send(link, &rpc_error(&call.id, &refusal(&found, &call.method)).into());
                None
            }
        }
    }

    pub(super) fn call_from_client(&self, link: Rc<Link>, call: Known, message: Message) -> Option<Rest> {
        let Message::Text(text) = message else { return None };
        let Known { method, id, args } = call;
        (method.serve)(self, link, method, id, Args::within(text, args))
    }

    /// Has a method run if the client has its scope.
    pub(crate) fn run_if_allowed(&self, link: Rc<Link>, method: Method, id: String, args: Args) -> Option<Rest> {
        let runtime = self.clone();
        rest_of(async move {
            let scope = method.scope.unwrap_or_default();
            let refused = match Rc::clone(&runtime.entity).has_scope(Rc::clone(&link), scope).await {
                Ok(true) => None,
                Ok(false) => Some(format!("Method {} requires scope {scope}", method.name)),
                Err(error) => Some(runtime.words_for_client(&link, "has_scope", &error)),
            };
            match refused {
                Some(refused) => runtime.shell().send(&link, &rpc_error(&id, &refused).into()),
                None => {
                    if let Some(rest) = (method.run)(&runtime, link, method, id, args) {
                        rest.await;
                    }
                }
            }
        })
    }

    /// Runs a method that this client may call, and answers.
    pub(crate) fn run(&self, link: Rc<Link>, method: Method, id: String, args: Args) -> Option<Rest> {
        let answered = Rc::clone(&self.entity).call(method.row(), Caller::Client(Rc::clone(&link), None), args);
        self.after(answered, move |runtime, outcome| {
            let reply = match outcome {
                Ok(result) => rpc_result(&id, result.as_ref()),
                Err(error) => rpc_error(&id, &runtime.words_for_client(&link, method.name, &error)),
            };
            runtime.answer(&link, &id, reply);
        })
    }

    /// Sends the only answer to a call. One that the socket does not take, because it is too long for instance, is answered by a short
    /// one: the caller would wait for ever.
    fn answer(&self, link: &Link, id: &str, reply: String) {
        if let Err(SocketError::Platform(message)) = link.send(&reply.into()) {
            self.shell().log_failure("send", Some(link), &HostError::new(message).into());
            self.shell().send(link, &rpc_error(id, REQUEST_FAILED).into());
        }
    }

    /// The same of a method that answers by a stream.
    pub(crate) fn stream(&self, link: Rc<Link>, method: Method, id: String, args: Args) -> Option<Rest> {
        let runtime = self.clone();
        rest_of(async move {
            let outlet = Rc::new(Outlet::new(Rc::clone(&link), id));
            let caller = Caller::Client(Rc::clone(&link), Some(Rc::clone(&outlet)));
            let outcome = Rc::clone(&runtime.entity).call(method.row(), caller, args).await;
            let ended = match outcome {
                Ok(_) => outlet.end(None),
                Err(error) => outlet.fail(&runtime.words_for_client(&link, method.name, &error)),
            };
            // Closed already: the method has ended its stream itself, or there is nobody to tell.
            if let Err(error @ StreamError::Platform(_)) = ended {
                runtime.shell().log_failure("send", Some(&link), &error.into());
            }
        })
    }

    /// What a client is told of a failure: the method's own words, or none of them if they are internals, which are logged.
    fn words_for_client(&self, link: &Link, event: &str, error: &Error) -> String {
        if is_internal(error) {
            self.shell().log_failure(event, Some(link), error);
            return REQUEST_FAILED.to_owned();
        }
        words_of(error)
    }

    /// Answers a call by another agent or by the worker.
    pub(super) async fn call_from_code(&self, call: Option<Incoming>, request: Request, props: Option<String>) -> Reply {
        let outcome = match call {
            Some(call) => self.outcome_for_code(call, request, props).await,
            None => Some(Err((Kind::NoSuchMethod, OTHER_VERSION.to_owned()))),
        };
        outcome.map_or(Reply::Never, |outcome| Reply::Response(answer_to_code(outcome)))
    }

    /// `None`: the agent is being destroyed.
    async fn outcome_for_code(&self, call: Incoming, request: Request, props: Option<String>) -> Option<Outcome> {
        let Incoming { method, trace } = call;
        let shell = self.shell();
        // Whoever waits at the end of the chain waits for a start that waits for this call.
        if !shell.started.get() && shell.learn_name() && trace.chain.contains(&shell.hop()) {
            return Some(Err((Kind::Cycle, trace.path(shell.class, shell.name()))));
        }
        match self.pass(props, Some(&trace)).await {
            Ok(()) => {}
            Err(Barred::StartFailed) => return Some(Err(internal())),
            Err(Barred::Destroyed) => return None,
        }
        Some(match self.entity.find(&method) {
            Found::Method(method) => (method.run_for_code)(self.clone(), method, trace, request).await,
            found => Err((Kind::NoSuchMethod, refusal(&found, &method))),
        })
    }

    /// Runs a method for another agent or the worker.
    pub(crate) fn run_for_code(
        self,
        method: Method,
        trace: Rc<Trace>,
        mut request: Request,
    ) -> LocalBoxFuture<'static, Outcome> {
        Box::pin(async move {
            if method.streaming {
                return Err((Kind::NoSuchMethod, format!("Method {} streams, so it is for clients alone", method.name)));
            }
            let args = request.body_to_read().text().await.map_err(|wrong| (Kind::Arguments, wrong.to_string()))?;
            let answer = Rc::clone(&self.entity).call(method.row(), Caller::Code(Rc::clone(&trace)), Args::new(args)).await;
            answer.map_err(|error| match error.downcast_ref() {
                Some(ArgumentError { .. }) => (Kind::Arguments, error.to_string()),
                None if is_internal(&error) => {
                    self.shell().log_error(Level::Error, method.name, None, Some(&trace), &error);
                    internal()
                }
                None => (Kind::Method, words_of(&error)),
            })
        })
    }
}

fn internal() -> (Kind, String) {
    (Kind::Internal, String::new())
}

/// The words of a method that failed: as they are, unless they are those of an error that repeats what it could not read.
fn words_of(error: &Error) -> String {
    // The error itself: where the method has put words of its own before it, those are what is told, and no cause.
    match error.chain().next().and_then(|outermost| outermost.downcast_ref::<serde_json::Error>()) {
        Some(wrong) => brief(MAX_JSON_ERROR_BYTES, format_args!("{wrong}")),
        None => error.to_string(),
    }
}

fn refusal(found: &Found, method: &str) -> String {
    let what = match found {
        Found::Uncallable => "is not callable",
        Found::Nothing | Found::Method(_) => "does not exist",
    };
    brief(MAX_ERROR_BYTES, format_args!("Method {method} {what}"))
}
