//! One WebSocket of one client.

use std::fmt::Debug;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{WebSocketStream, client_async};

use crate::plan::Server;

/// Frames that greet a new client: identity, state, MCP servers.
pub(crate) const GREETING_FRAMES: usize = 3;

#[derive(Debug)]
pub(crate) struct Client {
    socket: WebSocketStream<TcpStream>,
}

impl Client {
    /// Opens a socket; the greeting is not read yet.
    pub(crate) async fn connect(server: &Server, instance: &str) -> Result<Self> {
        Self::open(server, &server.path(instance)).await
    }

    /// Opens a socket to an agent of any kind, at `path`.
    pub(crate) async fn open(server: &Server, path: &str) -> Result<Self> {
        let stream = tcp(server).await?;
        let url = format!("ws://127.0.0.1:{}{path}", server.port);
        let (socket, _) = client_async(url, stream).await.context("the handshake failed")?;
        Ok(Self { socket })
    }

    /// Opens a socket and reads the greeting.
    pub(crate) async fn join(server: &Server, instance: &str) -> Result<Self> {
        let mut client = Self::connect(server, instance).await?;
        for _ in 0..GREETING_FRAMES {
            client.receive_text().await?;
        }
        Ok(client)
    }

    pub(crate) async fn send(&mut self, message: Message) -> Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// The next text or binary message.
    pub(crate) async fn receive(&mut self) -> Result<Message> {
        loop {
            match self.socket.next().await.context("the connection was lost")?? {
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
                Message::Close(frame) => bail!("the server closed the socket: {frame:?}"),
                message => return Ok(message),
            }
        }
    }

    pub(crate) async fn receive_text(&mut self) -> Result<String> {
        match self.receive().await? {
            Message::Text(text) => Ok(text.as_str().to_owned()),
            other => bail!("expected text, got {other:?}"),
        }
    }

    pub(crate) async fn expect(&mut self, wanted: &Message) -> Result<()> {
        let message = self.receive().await?;
        ensure!(message == *wanted, "expected {}, got {}", excerpt(wanted), excerpt(&message));
        Ok(())
    }

    /// Closes the socket, and returns the close code that the server answered.
    pub(crate) async fn close(mut self) -> Result<u16> {
        self.socket.close(Some(CloseFrame { code: CloseCode::Normal, reason: "done".into() })).await?;
        let mut code = None;
        // To the end of the stream: the server has then done all its work for this socket.
        while let Some(message) = self.socket.next().await {
            if let Message::Close(frame) = message? {
                code = Some(frame.map_or(1005, |frame| frame.code.into()));
            }
        }
        code.context("the server did not answer the close")
    }
}

/// A connection on which small messages leave at once.
pub(crate) async fn tcp(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", server.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The beginning of a message, for people.
pub(crate) fn excerpt(message: &impl Debug) -> String {
    format!("{message:?}").chars().take(200).collect()
}
