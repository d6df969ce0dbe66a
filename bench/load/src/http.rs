//! One kept HTTP connection.

use anyhow::{Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;

use crate::client::tcp;
use crate::plan::Server;

#[derive(Debug)]
pub(crate) struct HttpClient {
    sender: SendRequest<Full<Bytes>>,
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
    pub(crate) async fn connect(server: &Server) -> Result<Self> {
        let (sender, connection) = http1::handshake(TokioIo::new(tcp(server).await?)).await?;
        // Ends with the sender; a failure reaches the request that it concerns.
        tokio::spawn(connection);
        Ok(Self { sender, host: format!("127.0.0.1:{}", server.port) })
    }

    /// Sends a request, which needs no `host`, and reads the answer to its end.
    pub(crate) async fn ask(&mut self, request: Builder, body: Bytes) -> Result<Answer> {
        self.sender.ready().await?;
        let request = request.header(HOST, &self.host).body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let content_type = response.headers().get(CONTENT_TYPE).map_or("", |value| value.to_str().unwrap_or(""));
        let content_type = content_type.to_owned();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, content_type, body })
    }

    pub(crate) async fn get(&mut self, path: &str) -> Result<Answer> {
        self.ask(Request::get(path), Bytes::new()).await
    }

    pub(crate) async fn get_ok(&mut self, path: &str) -> Result<()> {
        let answer = self.get(path).await?;
        ensure!(answer.status == StatusCode::OK && !answer.body.is_empty(), "unexpected {answer:?}");
        Ok(())
    }
}
