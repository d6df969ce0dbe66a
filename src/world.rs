//! WorldAgent: worlds of agents, cloned from templates for each user.
//!
//! One instance for each user, whose id is its name: `/ws?user={id}`, or `/agents/world-agent/{id}`. An id is 32 hexadecimal digits or a
//! UUID; whoever knows it is that user. `/ws` without `user` makes a new one. With `?protocol=true` the `cf_agent_*` frames come first.
//! `docs/world-agent.md` is the guide, with every frame.
//!
//! | File | What is in it |
//! |---|---|
//! | [`templates`] | the worlds that ship with the worker |
//! | `frames`, `refusal` | what goes over the socket, and what is said instead |
//! | `store` | a user's worlds in SQL; nothing is kept in memory beside it |
//! | `chat`, `mention` | what agents say to a message, and who is meant |
//! | `desk` | sending, counting, admitting |
//! | `cleanup` | what goes when its user has gone |
//! | `user` | who is who |
//! | `http`, [`front`] | what is answered over HTTP, by the agent and by the worker |
//!
//! Worlds that are not persistent are dropped [`KEPT_AFTER_LEAVING`] after their user's last connection has gone.

use std::cell::{Cell, RefCell};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use durable_agents::host::Level;
use durable_agents::prelude::*;
use futures::channel::oneshot;
use futures::future::{Either, select};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod chat;
mod cleanup;
mod desk;
mod frames;
pub mod front;
mod http;
mod mention;
mod refusal;
mod store;
pub mod templates;
mod user;

pub use chat::{MAX_CONTENT_BYTES, MAX_HISTORY_BYTES, MAX_SENDER_BYTES, MAX_TURNS};
pub use desk::MAX_CHATS;
pub use frames::{MAX_ID_BYTES, MAX_MESSAGE_BYTES};
pub use store::{MAX_MESSAGES, MAX_WORLDS};

use crate::model::{self, DEFAULT_NAME};
use chat::{Chat, Place, Step};
use desk::{Counts, Desk};
use frames::{Ask, Frame, News, Payload, Topic};
use refusal::{Code, Refusal};
use store::World;
use templates::{DEFAULT_TEMPLATE, Persona, Template, summaries};

/// Longest name of a world, in characters, all of which are ASCII.
pub const MAX_NAME_CHARS: usize = 64;

/// Most connections of one user.
pub const MAX_CONNECTIONS: usize = 32;

/// Close code of a connection whose user id is none.
pub const CLOSE_INVALID_USER: u16 = 4400;

/// How long worlds that are not persistent outlive their user's last connection.
pub const KEPT_AFTER_LEAVING: Duration = Duration::from_secs(600);

/// See the [module](self).
#[derive(Debug, Default)]
pub struct WorldAgent {
    desk: Rc<Desk>,
    awake_since_ms: Cell<u64>,
    // Whoever asked for a chat, and what stops it when it is dropped.
    running: RefCell<Vec<(Connection<Self>, oneshot::Sender<()>)>>,
}

/// What a connection has chosen; kept in the socket's attachment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Visitor {
    world: Option<String>,
    topics: Vec<Topic>,
    // What is not in the database yet.
    #[serde(default, skip_serializing_if = "Counts::is_nothing")]
    counts: Counts,
}

#[agent]
impl Agent for WorldAgent {
    type ConnectionState = Visitor;

    async fn on_start(&self, cx: &Context<Self>, _: Option<()>) -> Result<()> {
        self.awake_since_ms.set(cx.now_ms());
        Ok(())
    }

    async fn should_send_protocol_messages(&self, _: &Context<Self>, _: &Connection<Self>, request: &Request) -> Result<bool> {
        Ok(request.url().query_param("protocol").as_deref() == Some("true"))
    }

    async fn on_connect(&self, cx: &Context<Self>, connection: &Connection<Self>, request: &Request) -> Result<()> {
        if let Err(refusal) = user::claim(cx, request) {
            self.desk.refuse(cx, connection, None, &refusal)?;
            connection.close(CLOSE_INVALID_USER, "invalid_user")?;
            return Ok(());
        }
        if cx.connections().count() > MAX_CONNECTIONS {
            connection.close(1013, "Too many connections")?;
            return Ok(());
        }
        store::create(cx)?;
        connection.set_state(Visitor::default())?;
        let (worlds, templates) = (store::list(cx)?, summaries());
        let (user_id, connection_id) = (cx.name(), connection.id());
        let welcome = Frame::Welcome { user_id, connection_id, worlds: &worlds, templates: &templates };
        self.desk.send(cx, connection, None, &welcome)?;
        self.desk.settle(cx);
        cleanup::expect_leaving(cx)?;
        Ok(())
    }

    async fn on_message(&self, cx: &Context<Self>, connection: &Connection<Self>, message: Message) -> Result<()> {
        // Who was shown out has no state.
        let Some(visitor) = connection.state()? else { return Ok(()) };
        self.desk.count_received(cx);
        let mut has_written = false;
        match Ask::parse(&message) {
            Err((id, refusal)) => self.desk.refuse(cx, connection, id.as_deref(), &refusal)?,
            Ok(ask) => match self.answer(cx, connection, &visitor, &ask).await {
                Ok(()) => has_written = ask.writes(),
                Err(error) => {
                    let (refusal, is_fault) = Refusal::of(&error);
                    if is_fault {
                        cx.log(Level::Error, &format!("{} failed: {error:#}", ask.kind));
                    }
                    self.desk.refuse(cx, connection, Some(&ask.id), &refusal)?;
                }
            },
        }
        if has_written {
            self.desk.take_back(connection);
            self.desk.settle(cx);
        } else {
            self.desk.hand_over(cx, connection);
        }
        Ok(())
    }

    async fn on_close(&self, cx: &Context<Self>, connection: &Connection<Self>, _: &Close) -> Result<()> {
        self.running.borrow_mut().retain(|(asker, _)| asker != connection);
        // Who was shown out was never here.
        match connection.state()? {
            Some(visitor) => {
                self.desk.inherit(&visitor);
                self.desk.settle(cx);
                cleanup::expect_leaving(cx)
            }
            None => Ok(()),
        }
    }

    async fn on_request(&self, cx: &Context<Self>, request: Request) -> Result<Response> {
        self.respond(cx, request).await
    }
}

impl WorldAgent {
    async fn answer(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        match ask.kind.as_str() {
            "world_select" => self.select(cx, connection, visitor, ask),
            "chat_send" => self.chat_send(cx, connection, visitor, ask).await,
            "agent_update" => self.update(cx, connection, visitor, ask),
            "world_reload" => self.reload(cx, connection, visitor, ask),
            "event_subscribe" => self.subscribe(cx, connection, visitor, ask),
            "ping" => self.desk.send(cx, connection, Some(&ask.id), &Frame::Pong {}),
            unknown => Err(Refusal::new(Code::UnknownType, format!("There is no message type {unknown:?}")).into()),
        }
    }

    fn select(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        let name = store::checked_name(ask.payload.get("worldName").and_then(Value::as_str).unwrap_or_default())?;
        let template = ask.payload.text("templateName")?.unwrap_or(DEFAULT_TEMPLATE);
        let persistent = ask.payload.flag("persistent")?;
        let unknown = || Refusal::new(Code::UnknownTemplate, format!("There is no template {template:?}"));
        let template = Template::find(template).ok_or_else(unknown)?;
        // The selection comes first: where the attachment has no room for it, no world is made that nobody has selected.
        connection.set_state(Visitor { world: Some(name.to_owned()), ..visitor.clone() })?;
        let world = match open(cx, template, name, persistent) {
            Ok(world) => world,
            Err(error) => {
                connection.set_state(visitor.clone())?;
                return Err(error);
            }
        };
        let World { name: world_name, template: template_name, persistent, agents } = &world;
        let selected = Frame::WorldSelected { world_name, template_name, agents, persistent: *persistent };
        self.desk.send(cx, connection, Some(&ask.id), &selected)?;
        self.desk.tell(cx, world_name, News::World { action: "selected", agents })
    }

    async fn chat_send(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        let message = chat::Message::parse(&ask.payload, "content")?;
        let chat = Chat::begin(cx, &self.desk, Place::World(selected(cx, visitor)?), message)?;
        let (stop, stopped) = oneshot::channel();
        self.running.borrow_mut().push((connection.clone(), stop));
        let ended = match select(pin!(self.converse(cx, connection, ask, chat)), stopped).await {
            Either::Left((ended, _)) => ended,
            // Whoever asked has left.
            Either::Right(_) => Ok(()),
        };
        self.running.borrow_mut().retain(|(_, stop)| !stop.is_canceled());
        ended
    }

    async fn converse(&self, cx: &Context<Self>, connection: &Connection<Self>, ask: &Ask, mut chat: Chat) -> Result<()> {
        while let Some(step) = chat.next().await? {
            match step {
                Step::Piece(_) => {}
                Step::Complete(complete) => {
                    self.desk.send(cx, connection, Some(&ask.id), &Frame::ChatResponse(&complete))?;
                }
                Step::Failed(refusal) => self.desk.refuse(cx, connection, Some(&ask.id), &refusal)?,
            }
        }
        Ok(())
    }

    fn update(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        let mut world = owned(cx, visitor, &ask.payload)?;
        let id = ask.payload.needed_text("agentId")?;
        let wrong = || Refusal::new(Code::InvalidMessage, "changes must be an object");
        let changes = ask.payload.get("changes").and_then(Value::as_object).ok_or_else(wrong)?;
        let unknown = || Refusal::new(Code::UnknownAgent, format!("There is no agent {id:?} in this world"));
        let agent = world.agents.iter_mut().find(|agent| agent.id == id).ok_or_else(unknown)?;
        change(cx, agent, changes)?;
        let agent = agent.clone();
        store::update(cx, &world)?;
        self.desk.send(cx, connection, Some(&ask.id), &Frame::AgentUpdated { agent: &agent })?;
        self.desk.tell(cx, &world.name, News::Agent { action: "updated", agent: &agent })
    }

    fn reload(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        let world = match ask.payload.text("worldName")? {
            Some(name) => store::get(cx, name)?,
            None => selected(cx, visitor)?,
        };
        let World { name: world_name, agents, .. } = &world;
        self.desk.send(cx, connection, Some(&ask.id), &Frame::WorldReloaded { world_name, agents })?;
        self.desk.tell(cx, world_name, News::World { action: "reloaded", agents })
    }

    fn subscribe(&self, cx: &Context<Self>, connection: &Connection<Self>, visitor: &Visitor, ask: &Ask) -> Result<()> {
        let named = Topic::named(ask.payload.get("events").unwrap_or(&Value::Null))?;
        let unsubscribe = ask.payload.flag("unsubscribe")?;
        let wanted = |topic: &Topic| match named.contains(topic) {
            true => !unsubscribe,
            false => visitor.topics.contains(topic),
        };
        let topics: Vec<Topic> = Topic::ALL.into_iter().filter(wanted).collect();
        connection.set_state(Visitor { topics: topics.clone(), ..visitor.clone() })?;
        self.desk.send(cx, connection, Some(&ask.id), &Frame::Subscribed { subscribed: &topics })
    }
}

/// The world of that name, made or made persistent if need be. Where it fails, all is as it was.
fn open(cx: &Context<WorldAgent>, template: &Template, name: &str, persistent: bool) -> Result<World> {
    let Some(mut world) = store::find(cx, name)? else {
        let world = store::clone(cx, template, name, persistent)?;
        if let Err(error) = cleanup::expect_leaving(cx) {
            store::remove(cx, name)?;
            return Err(error);
        }
        return Ok(world);
    };
    // Asked for once is asked for: whoever comes back without the flag must not lose the world.
    if persistent && !world.persistent {
        world.persistent = true;
        store::update(cx, &world)?;
    }
    Ok(world)
}

/// The world that a connection has selected.
fn selected(cx: &Context<WorldAgent>, visitor: &Visitor) -> Result<World> {
    match &visitor.world {
        Some(name) => store::get(cx, name),
        None => Err(Refusal::new(Code::NoWorldSelected, "Select a world first, with world_select").into()),
    }
}

/// The world that a change is meant for: the selected one, unless it names another. A template is nobody's to change.
fn owned(cx: &Context<WorldAgent>, visitor: &Visitor, payload: &Payload) -> Result<World> {
    let forbidden = || Refusal::new(Code::Forbidden, "Templates cannot be changed: name a world of your own, and no template");
    if payload.get("templateName").is_some() {
        return Err(forbidden().into());
    }
    match payload.text("worldName")? {
        None => selected(cx, visitor),
        Some(name) => match store::find(cx, store::checked_name(name)?)? {
            Some(world) => Ok(world),
            None if Template::find(name).is_some() => Err(forbidden().into()),
            None => store::get(cx, name),
        },
    }
}

/// Changes an agent; the caller stores it only if every change is fit.
fn change(cx: &Context<WorldAgent>, agent: &mut Persona, changes: &Map<String, Value>) -> Result<()> {
    for (field, value) in changes {
        let (place, range) = match field.as_str() {
            "name" => (&mut agent.name, 1..=64),
            "systemPrompt" => (&mut agent.system_prompt, 0..=8 * 1024),
            "model" => (&mut agent.model, 1..=128),
            "status" => (&mut agent.status, 1..=64),
            unknown => {
                let message = format!("There is no field {unknown:?}: name, systemPrompt, model and status can be changed");
                return Err(Refusal::new(Code::InvalidField, message).into());
            }
        };
        let is_line = |text: &str| !text.contains(char::is_control) && text.trim() == text;
        let is_free = field == "systemPrompt";
        let fits = |text: &&str| range.contains(&text.len()) && (is_free || is_line(text));
        let Some(text) = value.as_str().filter(fits) else {
            let in_a_line = if is_free { "" } else { ", without control characters, and without blanks at either end" };
            let message = format!("{field} must be a text of {} to {} bytes{in_a_line}", range.start(), range.end());
            return Err(Refusal::new(Code::InvalidField, message).into());
        };
        let is_offered = || text == DEFAULT_NAME || model::configured(cx).is_ok_and(|model| model.offers(text));
        if field == "model" && !is_offered() {
            let message = format!("There is no model {text:?} here; {DEFAULT_NAME:?} always is one");
            return Err(Refusal::new(Code::InvalidField, message).into());
        }
        text.clone_into(place);
    }
    Ok(())
}
