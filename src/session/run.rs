//! One message being answered.
//!
//! An answer lives in memory, with a lease that keeps the object there while nobody is connected. What ends the object all the same
//! ends the answer: [`SessionAgent::settle_interrupted`] says so at the next wake.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use durable_agents::host::Level;
use durable_agents::prelude::*;
use futures::StreamExt;
use futures::future::{AbortHandle, Abortable};

use super::SessionAgent;
use super::delivery::{emit, set_status};
use super::frames::{Frame, Project, Status};
use super::store::{Exchange, Session, Store};
use crate::model::{self, ModelError, Prompt, Turn};

/// What is being answered now, at most one message for each session.
#[derive(Debug, Default)]
pub(super) struct Runs(RefCell<Vec<Rc<Run>>>);

#[derive(Debug)]
struct Run {
    session_id: String,
    correlation_id: Option<String>,
    question: String,
    answer: RefCell<String>,
    streaming: Cell<bool>,
    abort: AbortHandle,
}

impl Runs {
    /// Whether a message of that session is being answered.
    pub(super) fn is_answering(&self, session_id: &str) -> bool {
        self.0.borrow().iter().any(|run| run.session_id == session_id)
    }

    /// How many messages are being answered.
    pub(super) fn count(&self) -> usize {
        self.0.borrow().len()
    }

    /// Stops the answer, if there is one: the model is dropped, and no frame of it follows.
    pub(super) fn stop(&self, session_id: &str) -> Option<Exchange> {
        let place = self.0.borrow().iter().position(|run| run.session_id == session_id)?;
        let run = self.0.borrow_mut().swap_remove(place);
        run.abort.abort();
        Some(run.exchange())
    }

    /// Ends `run`, unless it has been stopped.
    fn end(&self, run: &Rc<Run>) -> bool {
        let mut runs = self.0.borrow_mut();
        let place = runs.iter().position(|current| Rc::ptr_eq(current, run));
        place.map(|place| runs.swap_remove(place)).is_some()
    }
}

impl Run {
    fn exchange(&self) -> Exchange {
        Exchange { question: self.question.clone(), answer: self.answer.borrow().clone() }
    }

    fn emit(&self, cx: &Context<SessionAgent>, frame: Frame<'_>) -> Result<()> {
        emit(cx, &self.session_id, frame, self.correlation_id.as_deref())
    }

    fn set_status(&self, cx: &Context<SessionAgent>, status: Status) -> Result<()> {
        set_status(cx, &self.session_id, status, self.correlation_id.as_deref())
    }

    /// Says what the model says, to its end.
    async fn speak(&self, cx: &Context<SessionAgent>, prompt: Prompt) -> Result<()> {
        let mut pieces = model::configured(cx)?.answer(prompt);
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            self.begin_streaming(cx)?;
            self.answer.borrow_mut().push_str(&piece);
            self.emit(cx, Frame::Chunk { session_id: &self.session_id, content: &piece })?;
        }
        // An answer without words is one too.
        self.begin_streaming(cx)
    }

    fn begin_streaming(&self, cx: &Context<SessionAgent>) -> Result<()> {
        if self.streaming.replace(true) { Ok(()) } else { self.set_status(cx, Status::Streaming) }
    }

    /// Remembers what was said, and says how it ended.
    fn conclude(&self, cx: &Context<SessionAgent>, outcome: Result<()>) -> Result<()> {
        let (id, exchange) = (&self.session_id, self.exchange());
        let is_answer = outcome.is_ok() || !exchange.answer.is_empty();
        let remembered = if is_answer { Store(cx).remember(id, &exchange).map_err(Error::from) } else { Ok(()) };
        match outcome.and(remembered) {
            Ok(()) => {
                self.emit(cx, Frame::Complete { session_id: id })?;
                self.set_status(cx, Status::Idle)
            }
            Err(error) => {
                cx.log(Level::Error, &format!("session answer failed: {error:#}"));
                let message = error.downcast_ref().map_or_else(|| FAILED.to_owned(), ModelError::public);
                self.emit(cx, Frame::Failed { session_id: id, message: &message })?;
                self.set_status(cx, Status::Error)
            }
        }
    }
}

/// Ends a run whose future is dropped before it came to an end: by a panic in the model, for instance.
struct Unended {
    cx: Context<SessionAgent>,
    runs: Rc<Runs>,
    run: Rc<Run>,
}

impl Unended {
    fn end(&self, outcome: Result<()>) {
        if !self.runs.end(&self.run) {
            return;
        }
        if let Err(error) = self.run.conclude(&self.cx, outcome) {
            self.cx.log(Level::Error, &format!("the end of a session's answer was lost: {error:#}"));
        }
    }
}

impl Drop for Unended {
    fn drop(&mut self) {
        self.end(Err(error!("the answer ended before its end")));
    }
}

/// What a client is told of a failure that is not the model's.
const FAILED: &str = "The answer failed";

/// Begins to answer `question`, which nothing of the session is being answered beside.
pub(super) fn begin(
    cx: &Context<SessionAgent>,
    runs: &Rc<Runs>,
    session: &Session,
    project: &Project,
    question: String,
    correlation_id: Option<String>,
) -> Result<()> {
    let prompt = prompt(project, Store(cx).history(&session.id)?, &question);
    let lease = cx.keep_alive()?;
    let (abort, registration) = AbortHandle::new_pair();
    let run = Rc::new(Run {
        session_id: session.id.clone(),
        correlation_id,
        question,
        answer: RefCell::default(),
        streaming: Cell::default(),
        abort,
    });
    run.set_status(cx, Status::Thinking)?;
    runs.0.borrow_mut().push(Rc::clone(&run));
    let unended = Unended { cx: cx.clone(), runs: Rc::clone(runs), run };
    let work = async move {
        let outcome = unended.run.speak(&unended.cx, prompt).await;
        unended.end(outcome);
    };
    cx.wait_until(async move {
        // Stopped: whoever stopped it has said what there is to say.
        let _ = Abortable::new(work, registration).await;
        drop(lease);
    });
    Ok(())
}

fn prompt(project: &Project, history: Vec<Exchange>, question: &str) -> Prompt {
    let Project { project_id, project_path } = project;
    let said = history.into_iter().flat_map(|Exchange { question, answer }| [Turn::user(question), Turn::assistant(answer)]);
    Prompt {
        model: None,
        system: format!("You are working on the project {project_id:?} in {project_path:?}."),
        turns: said.chain([Turn::user(question)]).collect(),
    }
}
