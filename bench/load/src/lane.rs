//! One operation at a time, over and over.

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio_tungstenite::tungstenite::{Bytes, Message};

use crate::client::Client;
use crate::exchange::Player;
use crate::http::HttpClient;
use crate::plan::{Operation, Server};

/// A client, or a group of them, in a closed loop: the next operation begins when the last one has been answered in full.
#[derive(Debug)]
pub(crate) enum Lane<'a> {
    Echo { client: Client, message: Message },
    Call { client: Client, calls: u32 },
    SetState { setter: Client, watchers: Vec<Client>, text: String, count: u32 },
    Broadcast { sockets: Vec<Client>, message: Message },
    Connect { server: &'a Server, instance: String },
    NewInstance { server: &'a Server, prefix: String, count: u32 },
    Get { client: HttpClient, path: String },
    Exchange(Player<'a>),
}

impl<'a> Lane<'a> {
    /// Opens the lanes of one slice; `slice` is in the names of its instances, so none is used twice.
    pub(crate) async fn open(server: &'a Server, operation: &'a Operation, lanes: usize, slice: &str) -> Result<Vec<Self>> {
        let mut open = Vec::with_capacity(lanes);
        for lane in 0..lanes {
            open.push(Self::open_one(server, operation, slice, lane).await?);
        }
        Ok(open)
    }

    async fn open_one(server: &'a Server, operation: &'a Operation, slice: &str, lane: usize) -> Result<Self> {
        let own = format!("{slice}-{lane}");
        Ok(match *operation {
            Operation::EchoText { bytes } => {
                Self::Echo { client: Client::join(server, slice).await?, message: Message::text(text(bytes)) }
            }
            Operation::EchoBinary { bytes } => {
                Self::Echo { client: Client::join(server, slice).await?, message: Message::binary(binary(bytes)) }
            }
            Operation::Call => Self::Call { client: Client::join(server, slice).await?, calls: 0 },
            Operation::SetState { watchers, text_bytes } => Self::SetState {
                setter: Client::join(server, &own).await?,
                watchers: join_all(server, &own, watchers).await?,
                text: text(text_bytes),
                count: 0,
            },
            Operation::Broadcast { sockets, bytes } => Self::Broadcast {
                sockets: join_all(server, &own, sockets).await?,
                message: Message::text(format!("broadcast:{}", text(bytes.saturating_sub(10)))),
            },
            Operation::Connect => Self::Connect { server, instance: slice.to_owned() },
            Operation::NewInstance => Self::NewInstance { server, prefix: own, count: 0 },
            Operation::Get => Self::Get { client: HttpClient::connect(server).await?, path: server.path(slice) },
            Operation::Exchange(ref exchange) => Self::Exchange(Player::enter(server, exchange, slice, lane).await?),
        })
    }

    /// Does it once, and makes sure that the answer is right.
    pub(crate) async fn run(&mut self) -> Result<()> {
        match self {
            Self::Echo { client, message } => {
                client.send(message.clone()).await?;
                client.expect(message).await
            }
            Self::Call { client, calls } => {
                *calls += 1;
                call(client, *calls).await
            }
            Self::SetState { setter, watchers, text, count } => {
                *count += 1;
                set_state(setter, watchers, *count, text).await
            }
            Self::Broadcast { sockets, message } => {
                if let Some(sender) = sockets.first_mut() {
                    sender.send(message.clone()).await?;
                }
                for socket in sockets {
                    socket.expect(message).await?;
                }
                Ok(())
            }
            Self::Connect { server, instance } => visit(server, instance).await,
            Self::NewInstance { server, prefix, count } => {
                *count += 1;
                visit(server, &format!("{prefix}-{count}")).await
            }
            Self::Get { client, path } => client.get_ok(path).await,
            Self::Exchange(player) => player.play().await,
        }
    }

    /// Closes all sockets.
    pub(crate) async fn close(self) -> Result<()> {
        let clients = match self {
            Self::Echo { client, .. } | Self::Call { client, .. } => vec![client],
            Self::SetState { setter, mut watchers, .. } => {
                watchers.push(setter);
                watchers
            }
            Self::Broadcast { sockets, .. } => sockets,
            Self::Exchange(player) => player.leave(),
            Self::Connect { .. } | Self::NewInstance { .. } | Self::Get { .. } => Vec::new(),
        };
        try_join_all(clients.into_iter().map(Client::close)).await?;
        Ok(())
    }
}

async fn join_all(server: &Server, instance: &str, count: usize) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(count);
    // One by one: a thousand at a time would be a test of the listen queue.
    for _ in 0..count {
        clients.push(Client::join(server, instance).await?);
    }
    Ok(clients)
}

async fn visit(server: &Server, instance: &str) -> Result<()> {
    let code = Client::join(server, instance).await?.close().await?;
    ensure!(code == 1000, "closed with {code}");
    Ok(())
}

async fn call(client: &mut Client, number: u32) -> Result<()> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        id: &'a str,
        success: bool,
        result: f64,
    }

    // As long as the ids of the official client.
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let frame = format!(r#"{{"args":[{number},1],"id":"{id}","method":"add","type":"rpc"}}"#);
    client.send(Message::text(frame)).await?;
    let text = client.receive_text().await?;
    let reply: Reply<'_> = serde_json::from_str(&text)?;
    ensure!(reply.success && reply.id == id && reply.result == f64::from(number) + 1.0, "wrong reply {text}");
    Ok(())
}

async fn set_state(setter: &mut Client, watchers: &mut [Client], count: u32, text: &str) -> Result<()> {
    #[derive(Deserialize)]
    struct StateFrame<'a> {
        #[serde(borrow)]
        state: &'a RawValue,
        r#type: &'a str,
    }

    let state = format!(r#"{{"count":{count},"text":"{text}"}}"#);
    setter.send(Message::text(format!(r#"{{"state":{state},"type":"cf_agent_state"}}"#))).await?;
    let mut first: Option<Message> = None;
    for watcher in watchers {
        let Some(wanted) = &first else {
            let received = watcher.receive_text().await?;
            let frame: StateFrame<'_> = serde_json::from_str(&received)?;
            ensure!(frame.r#type == "cf_agent_state" && frame.state.get() == state, "wrong state {received}");
            first = Some(Message::text(received));
            continue;
        };
        watcher.expect(wanted).await?;
    }
    Ok(())
}

/// Text that is no JSON, like most of what people type.
pub(crate) fn text(bytes: usize) -> String {
    "the quick brown fox jumps over the lazy dog, ".chars().cycle().take(bytes).collect()
}

pub(crate) fn binary(bytes: usize) -> Bytes {
    (0..=u8::MAX).cycle().take(bytes).collect()
}
