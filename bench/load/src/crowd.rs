//! What is merely there while something else is measured.

use anyhow::Result;
use tokio_tungstenite::tungstenite::Message;

use crate::client::Client;
use crate::lane::text;
use crate::plan::{Crowd, Server};

/// Instance that a scenario with a crowd is measured on, in all rounds.
pub(crate) const INSTANCE: &str = "crowd";

/// Opens a crowd. It is there for as long as the result is.
pub(crate) async fn gather(server: &Server, crowd: Crowd) -> Result<Vec<Client>> {
    let mut clients = Vec::with_capacity(crowd.sockets + crowd.instances);
    if crowd.state_bytes > 0 {
        let mut setter = Client::join(server, INSTANCE).await?;
        let text = text(crowd.state_bytes);
        let frame = format!(r#"{{"state":{{"count":1,"text":"{text}"}},"type":"cf_agent_state"}}"#);
        setter.send(Message::text(frame)).await?;
        // Who joins after this echo is greeted with that state, and is not sent it once more.
        let echo = Message::text("is it set?");
        setter.send(echo.clone()).await?;
        setter.expect(&echo).await?;
        clients.push(setter);
    }
    for _ in 0..crowd.sockets {
        clients.push(Client::join(server, INSTANCE).await?);
    }
    for number in 0..crowd.instances {
        clients.push(Client::join(server, &format!("neighbour-{number}")).await?);
    }
    Ok(clients)
}
