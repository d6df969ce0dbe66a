//! One kept HTTP connection.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use crate::client::tcp;
use crate::plan::Server;

#[derive(Debug)]
pub(crate) struct HttpClient {
    sender: SendRequest<Empty<Bytes>>,
    path: String,
    host: String,
}

/// What is compared of an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
}

impl HttpClient {
    pub(crate) async fn connect(server: &Server, instance: &str) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(tcp(server).await?)).await?;
        // Ends with the sender; a failure reaches the request that it concerns.
        tokio::spawn(connection);
        Ok(Self { sender, path: server.path(instance), host: format!("127.0.0.1:{}", server.port) })
    }

    pub(crate) async fn get(&mut self) -> Result<Answer> {
        self.sender.ready().await?;
        let request = Request::get(&self.path).header(HOST, &self.host).body(Empty::new())?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
        let content_type = content_type.to_owned();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, content_type, body })
    }

    pub(crate) async fn get_ok(&mut self) -> Result<()> {
        let answer = self.get().await?;
        ensure!(answer.status == StatusCode::OK && !answer.body.is_empty(), "unexpected {answer:?}");
        Ok(())
    }
}
