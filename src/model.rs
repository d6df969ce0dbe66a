//! Where an agent's words come from.
//!
//! A [`Model`] answers a conversation with a stream of text pieces. Which one it is, variables of the worker say; `docs/models.md` has
//! them with examples.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `MODEL` | `scripted`, `workers-ai` or `openai` | `scripted` |
//! | `MODEL_NAME` | the model's name where it runs; `scripted` needs none | |
//! | `MODEL_ALLOWED` | more names that agents may ask for, separated by commas; `*` allows every name | none |
//! | `MODEL_BASE_URL` | for `openai`: where the API is, without `/chat/completions` | `https://api.openai.com/v1` |
//! | `MODEL_API_KEY` | for `openai`: a secret, sent as bearer token; local servers do without | none |
//! | `MODEL_TIMEOUT_S` | seconds until the first piece, and from one to the next: 1–600 | 60 |
//! | `MODEL_DELAY_MS` | for `scripted`: milliseconds between two pieces, at most 10,000 | 20 |
//!
//! ```
//! use agents_worker::model::{self, Prompt, Turn};
//! use durable_agents::prelude::*;
//! use futures::StreamExt;
//!
//! async fn answer<A: Agent>(cx: &Context<A>, connection: &Connection<A>, question: &str) -> Result<()> {
//!     let model = model::configured(cx)?;
//!     let mut pieces = model.answer(Prompt { turns: vec![Turn::user(question)], ..Prompt::default() });
//!     while let Some(piece) = pieces.next().await {
//!         connection.send(piece?)?;
//!     }
//!     Ok(())
//! }
//! ```

use std::fmt;
use std::ops::RangeInclusive;
use std::rc::Rc;
use std::str::FromStr;
use std::time::Duration;

use durable_agents::host::Host;
use durable_agents::prelude::*;
use futures::stream::LocalBoxStream;
use serde::{Deserialize, Serialize};

mod answer;
mod chat_completions;
mod scripted;
mod sse;
mod workers_ai;

/// The name that stands for whatever model the worker has been given.
pub const DEFAULT_NAME: &str = "default";

/// Longest answer, in bytes of UTF-8.
pub const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// An answer, piece by piece; it ends after the last piece or after the first error.
///
/// Nothing is asked for before it is polled. Dropping it ends the work, upstream too.
pub type Pieces = LocalBoxStream<'static, Result<String, ModelError>>;

/// Something that answers.
pub trait Model {
    /// Answers the last turn of a conversation.
    fn answer(&self, prompt: Prompt) -> Pieces;

    /// Whether a [`Prompt`] may name that model. [`DEFAULT_NAME`] it always may.
    fn offers(&self, name: &str) -> bool;
}

/// What a model is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The model's name; `None` and [`DEFAULT_NAME`] are the one that the worker has been given.
    pub model: Option<String>,
    /// Who the model is to be, and what it is to do. Empty: nothing is said about that.
    pub system: String,
    /// The conversation, oldest turn first.
    pub turns: Vec<Turn>,
}

/// One thing that was said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turn {
    /// By whom.
    pub role: Role,
    /// The words.
    pub content: String,
}

/// A side of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Whoever asks.
    User,
    /// The model.
    Assistant,
}

impl Turn {
    /// What a user said.
    pub fn user(content: impl Into<String>) -> Self {
        Self { role: Role::User, content: content.into() }
    }

    /// What a model said.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self { role: Role::Assistant, content: content.into() }
    }
}

/// Why there is no answer, or no more of it.
///
/// Its text is for the log and may hold what the other side said; a client gets [`public`](Self::public). No key is in either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// The worker's variables do not say which model to use. Names the variable.
    #[error("model is not configured: {0}")]
    Configuration(String),
    /// The agent asks for a model that [is not offered](Model::offers).
    #[error("model {0:?} is not offered: MODEL_NAME and MODEL_ALLOWED say which are")]
    NotOffered(String),
    /// No answer came.
    #[error("model could not be reached: {0}")]
    Unreachable(String),
    /// The answer is an error status.
    #[error("model refused with status {status}: {detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the other side said, shortened.
        detail: String,
    },
    /// An error in place of the rest of the answer.
    #[error("model failed: {0}")]
    Failed(String),
    /// Nothing came for too long.
    #[error("model was silent for {} s", .0.as_secs())]
    Silent(Duration),
    /// The answer is none that can be understood.
    #[error("model's answer is malformed: {0}")]
    Malformed(String),
    /// The answer ended before its end was said.
    #[error("model's answer broke off: {0}")]
    Cut(String),
    /// The answer does not end.
    #[error("model's answer is longer than {MAX_ANSWER_BYTES} bytes")]
    TooLong,
}

impl ModelError {
    /// What a client may read: what happened, and nothing of what the other side said about it.
    pub fn public(&self) -> String {
        match self {
            Self::Configuration(_) => "The model is not configured".to_owned(),
            Self::NotOffered(_) => "This model is not offered".to_owned(),
            Self::Unreachable(_) => "The model could not be reached".to_owned(),
            Self::Refused { status, .. } => format!("The model refused the request with status {status}"),
            Self::Failed(_) => "The model failed".to_owned(),
            Self::Silent(time) => format!("The model was silent for {} s", time.as_secs()),
            Self::Malformed(_) => "The model's answer could not be understood".to_owned(),
            Self::Cut(_) => "The model's answer broke off".to_owned(),
            Self::TooLong => "The model's answer is too long".to_owned(),
        }
    }
}

/// The model that the worker's variables choose.
///
/// # Errors
/// [`ModelError::Configuration`].
pub fn configured<A: Agent>(cx: &Context<A>) -> Result<Rc<dyn Model>, ModelError> {
    let host = cx.host_handle();
    Ok(match cx.var("MODEL").as_deref() {
        None | Some("" | "scripted") => Rc::new(scripted::Scripted::new(host)?),
        Some("openai") => Rc::new(chat_completions::ChatCompletions::new(host)?),
        Some("workers-ai") => Rc::new(workers_ai::WorkersAi::new(cx)?),
        Some(other) => return Err(ModelError::Configuration(format!("MODEL is {other:?}: scripted, workers-ai or openai"))),
    })
}

/// A number among the worker's variables.
fn number<T: FromStr + PartialOrd + fmt::Display>(
    host: &dyn Host,
    name: &str,
    range: RangeInclusive<T>,
    default: T,
) -> Result<T, ModelError> {
    match host.var(name).filter(|text| !text.is_empty()) {
        None => Ok(default),
        Some(text) => text.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| {
            ModelError::Configuration(format!("{name} is {text:?}: a whole number from {} to {}", range.start(), range.end()))
        }),
    }
}

/// The longest silence, from `MODEL_TIMEOUT_S`.
fn timeout(host: &dyn Host) -> Result<Duration, ModelError> {
    Ok(Duration::from_secs(number(host, "MODEL_TIMEOUT_S", 1..=600, 60)?))
}

/// The names that `MODEL_NAME` and `MODEL_ALLOWED` offer.
#[derive(Debug)]
struct Names {
    default: String,
    others: Vec<String>,
}

impl Names {
    fn new(host: &dyn Host) -> Result<Self, ModelError> {
        let default = host.var("MODEL_NAME").filter(|name| !name.is_empty());
        let default = default.ok_or_else(|| ModelError::Configuration("MODEL_NAME is missing".to_owned()))?;
        let allowed = host.var("MODEL_ALLOWED").unwrap_or_default();
        let others = allowed.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        Ok(Self { default, others })
    }

    fn offers(&self, name: &str) -> bool {
        name == DEFAULT_NAME || name == self.default || self.others.iter().any(|other| other == "*" || other == name)
    }

    /// The name to send.
    fn resolve<'a>(&'a self, asked: Option<&'a str>) -> Result<&'a str, ModelError> {
        match asked {
            None | Some("" | DEFAULT_NAME) => Ok(&self.default),
            Some(name) if self.offers(name) => Ok(name),
            Some(name) => Err(ModelError::NotOffered(name.to_owned())),
        }
    }
}

/// One message of a prompt, as both APIs take it.
#[derive(Serialize)]
struct ModelMessage<'a> {
    role: &'static str,
    content: &'a str,
}

/// The prompt as both APIs take it: what the model is to be comes first.
fn messages(prompt: &Prompt) -> Vec<ModelMessage<'_>> {
    let system = Some(&prompt.system).filter(|system| !system.is_empty());
    let system = system.map(|content| ModelMessage { role: "system", content });
    let turns = prompt.turns.iter().map(|turn| ModelMessage {
        role: match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        },
        content: &turn.content,
    });
    system.into_iter().chain(turns).collect()
}
