//! What the agents of a world say to a message.

use std::fmt;
use std::rc::Rc;

use durable_agents::host::Level;
use durable_agents::prelude::*;
use futures::stream::{self, LocalBoxStream, SelectAll, StreamExt};
use serde::Serialize;

use super::WorldAgent;
use super::desk::{Desk, Seat};
use super::frames::{Activity, News, Payload};
use super::mention::addressed;
use super::refusal::{Code, Refusal};
use super::store::{self, Said, World};
use super::templates::{Persona, Template};
use crate::model::{self, ModelError, Prompt, Turn};

/// Longest message of a user, in bytes of UTF-8.
pub const MAX_CONTENT_BYTES: usize = 16 * 1024;

/// Longest name of a sender, in bytes of UTF-8.
pub const MAX_SENDER_BYTES: usize = 64;

/// Most messages of a conversation that a model is told.
pub const MAX_TURNS: usize = 40;

/// Most bytes of a conversation that a model is told; the newest message is told whatever its size.
pub const MAX_HISTORY_BYTES: usize = 32 * 1024;

/// What a user says.
#[derive(Debug)]
pub(super) struct Message {
    content: String,
    sender: String,
}

impl Message {
    /// Reads it from what a client sent; the words are in `field`.
    pub(super) fn parse(payload: &Payload, field: &str) -> Result<Self, Refusal> {
        let content = payload.needed_text(field)?;
        let sender = payload.text("sender")?.filter(|sender| !sender.is_empty()).unwrap_or("user");
        if content.trim().is_empty() {
            return Err(Refusal::new(Code::InvalidMessage, format!("{field} is empty")));
        }
        if content.len() > MAX_CONTENT_BYTES {
            return Err(Refusal::new(Code::TooLarge, format!("{field} has at most {MAX_CONTENT_BYTES} bytes")));
        }
        if sender.len() > MAX_SENDER_BYTES || sender.contains(char::is_control) {
            let message = format!("sender has at most {MAX_SENDER_BYTES} bytes and no control characters");
            return Err(Refusal::new(Code::InvalidMessage, message));
        }
        Ok(Self { content: content.to_owned(), sender: sender.to_owned() })
    }
}

/// Where a chat takes place.
pub(super) enum Place {
    /// A user's own world: what is said there is kept, and told to whoever listens.
    World(World),
    /// A template, which is as it was afterwards.
    Template(&'static Template),
}

/// What happens next in a chat.
pub(super) enum Step {
    /// An agent says more.
    Piece(Piece),
    /// An agent has answered.
    Complete(Complete),
    /// An agent will not go on.
    Failed(Refusal),
}

/// A piece of an answer, as a client gets it that reads along.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece {
    agent: String,
    agent_name: String,
    content: String,
}

/// A complete answer, as clients get it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Complete {
    agent: String,
    agent_name: String,
    content: String,
    message_id: String,
}

/// The answers of several agents to one message, made at the same time. Dropping it stops those that are not complete.
pub(super) struct Chat {
    cx: Context<WorldAgent>,
    desk: Rc<Desk>,
    place: Place,
    answers: Vec<Answer>,
    pieces: SelectAll<Pieces>,
    _seat: Seat,
}

type Pieces = LocalBoxStream<'static, (usize, Option<Result<String, ModelError>>)>;

/// One agent's answer, as far as it is there.
struct Answer {
    agent: Persona,
    message_id: String,
    content: String,
    activity: Activity,
}

impl Chat {
    /// Begins a chat. In a user's world the message is stored before anybody hears of it.
    ///
    /// # Errors
    /// [`Refusal`]: nothing has been stored, and nobody asked.
    pub(super) fn begin(cx: &Context<WorldAgent>, desk: &Rc<Desk>, place: Place, message: Message) -> Result<Self> {
        let agents = match &place {
            Place::World(world) => addressed(&message.content, &world.agents)?,
            Place::Template(template) => addressed(&message.content, &template.personas())?,
        };
        let seat = Seat::take(desk)?;
        let model = model::configured(cx).map_err(|error| failed(cx, &error))?;
        let Message { content, sender } = message;
        let said = Said { id: cx.uuid(), sender, agent: None, content, timestamp: cx.now_ms() };
        let conversation = match &place {
            Place::Template(_) => vec![said],
            Place::World(world) => {
                // Read before it is written to: a message that nobody answers must not stay.
                let mut conversation = store::newest(cx, &world.name, MAX_TURNS - 1)?;
                store::say(cx, &world.name, &said)?;
                desk.tell(cx, &world.name, News::Message(&said))?;
                conversation.insert(0, said);
                conversation
            }
        };
        let mut pieces = SelectAll::new();
        let mut answers = Vec::with_capacity(agents.len());
        for (index, agent) in agents.into_iter().enumerate() {
            let words = model.answer(prompt(&agent, &conversation));
            let end = stream::once(async { None });
            pieces.push(words.map(Some).chain(end).map(move |piece| (index, piece)).boxed_local());
            answers.push(Answer { agent, message_id: cx.uuid(), content: String::new(), activity: Activity::Idle });
        }
        let mut chat = Self { cx: cx.clone(), desk: Rc::clone(desk), place, answers, pieces, _seat: seat };
        for index in 0..chat.answers.len() {
            chat.set_activity(index, Activity::Thinking)?;
        }
        Ok(chat)
    }

    /// Waits for the next thing to happen, and makes it so: stored and told. `None` once everybody has answered.
    pub(super) async fn next(&mut self) -> Result<Option<Step>> {
        while let Some((index, piece)) = self.pieces.next().await {
            match piece {
                Some(Ok(piece)) => return self.add(index, piece).map(Some),
                Some(Err(error)) => {
                    self.set_activity(index, Activity::Error)?;
                    let mut refusal = failed(&self.cx, &error);
                    refusal.agent = self.answers.get(index).map(|answer| answer.agent.id.clone());
                    return Ok(Some(Step::Failed(refusal)));
                }
                None => {
                    if let Some(complete) = self.complete(index)? {
                        return Ok(Some(Step::Complete(complete)));
                    }
                }
            }
        }
        Ok(None)
    }

    fn add(&mut self, index: usize, content: String) -> Result<Step> {
        self.set_activity(index, Activity::Streaming)?;
        let Some(answer) = self.answers.get_mut(index) else { bail!("there is no answer {index}") };
        answer.content.push_str(&content);
        if let Place::World(world) = &self.place {
            let Persona { id: agent, name: agent_name, .. } = &answer.agent;
            let chunk = News::Chunk { agent, agent_name, message_id: &answer.message_id, content: &content };
            self.desk.tell(&self.cx, &world.name, chunk)?;
        }
        Ok(Step::Piece(Piece { agent: answer.agent.id.clone(), agent_name: answer.agent.name.clone(), content }))
    }

    /// Stores an answer, and tells of it. `None` for one that failed before.
    fn complete(&mut self, index: usize) -> Result<Option<Complete>> {
        let Some(answer) = self.answers.get_mut(index).filter(|answer| answer.is_under_way()) else { return Ok(None) };
        let (message_id, content) = (answer.message_id.clone(), std::mem::take(&mut answer.content));
        let Persona { id: agent, name: agent_name, .. } = answer.agent.clone();
        if let Place::World(world) = &self.place {
            let (id, agent, timestamp) = (message_id.clone(), Some(agent.clone()), self.cx.now_ms());
            let said = Said { id, sender: agent_name.clone(), agent, content: content.clone(), timestamp };
            store::say(&self.cx, &world.name, &said)?;
            self.desk.tell(&self.cx, &world.name, News::Message(&said))?;
        }
        self.set_activity(index, Activity::Idle)?;
        Ok(Some(Complete { agent, agent_name, content, message_id }))
    }

    fn set_activity(&mut self, index: usize, activity: Activity) -> Result<()> {
        let Some(answer) = self.answers.get_mut(index) else { return Ok(()) };
        if std::mem::replace(&mut answer.activity, activity) == activity {
            return Ok(());
        }
        let Place::World(world) = &self.place else { return Ok(()) };
        let Persona { id: agent, name: agent_name, .. } = &answer.agent;
        self.desk.tell(&self.cx, &world.name, News::AgentStatus { agent, agent_name, status: activity })
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        let under_way = |(index, answer): (usize, &Answer)| answer.is_under_way().then_some(index);
        let stopped: Vec<usize> = self.answers.iter().enumerate().filter_map(under_way).collect();
        for index in stopped {
            // Whoever listens learns that no more will come. If they cannot be told, they have gone.
            let _ = self.set_activity(index, Activity::Idle);
        }
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Chat({} answers)", self.answers.len())
    }
}

impl Answer {
    fn is_under_way(&self) -> bool {
        matches!(self.activity, Activity::Thinking | Activity::Streaming)
    }
}

/// What a client learns of a model's failure; the log learns the rest.
fn failed(cx: &Context<WorldAgent>, error: &ModelError) -> Refusal {
    cx.log(Level::Error, &error.to_string());
    Refusal::new(Code::ModelFailed, error.public())
}

/// What an agent's model is asked: the conversation from that agent's own side, newest message first in `conversation`.
fn prompt(agent: &Persona, conversation: &[Said]) -> Prompt {
    let mut bytes = 0;
    let turn = |(index, said): (usize, &Said)| {
        bytes += said.content.len();
        let fits = index == 0 || bytes <= MAX_HISTORY_BYTES;
        fits.then(|| match &said.agent {
            Some(id) if *id == agent.id => Turn::assistant(&said.content),
            // To each of them the others are people.
            Some(_) => Turn::user(format!("{}: {}", said.sender, said.content)),
            None => Turn::user(&said.content),
        })
    };
    let mut turns: Vec<Turn> = conversation.iter().enumerate().map_while(turn).collect();
    turns.reverse();
    Prompt { model: Some(agent.model.clone()), system: agent.system_prompt.clone(), turns }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_told_the_newest_of_the_conversation_from_its_agents_side() {
        let agent = Template::find("default-world").expect("a template").personas().remove(0);
        let said = |agent: Option<&str>, content: &str| Said {
            id: String::new(),
            sender: agent.map_or("user".to_owned(), str::to_uppercase),
            agent: agent.map(str::to_owned),
            content: content.to_owned(),
            timestamp: 0,
        };
        let conversation = [said(None, "now"), said(Some("skeptic"), "but"), said(Some("helper"), "yes"), said(None, "first")];
        let told = prompt(&agent, &conversation);
        let turns = [Turn::user("first"), Turn::assistant("yes"), Turn::user("SKEPTIC: but"), Turn::user("now")];
        assert_eq!(
            told,
            Prompt { model: Some("default".to_owned()), system: agent.system_prompt.clone(), turns: turns.into() }
        );

        let half = "x".repeat(MAX_HISTORY_BYTES / 2);
        let long = [said(None, &half), said(None, &half), said(None, "older"), said(None, "")];
        assert_eq!(prompt(&agent, &long).turns.len(), 2, "nothing is left out in between");
        let longest = [said(None, &half.repeat(3)), said(None, "older")];
        assert_eq!(prompt(&agent, &longest).turns.len(), 1);
    }
}
