//! Whether the servers do the same work: compared before anything is timed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Client, GREETING_FRAMES};
use crate::http::HttpClient;
use crate::lane::{binary, text};
use crate::plan::Server;

const PATIENCE: Duration = Duration::from_secs(20);
const INSTANCE: &str = "check";

/// What was said, step by step. Frames are compared as JSON: the order of keys is nobody's business.
type Transcript = Vec<(&'static str, Value)>;

pub(crate) async fn check(servers: &[Server]) -> Result<()> {
    compare(servers, conversation).await
}

/// For servers whose process was killed after [`check`]: the state must have been on disk.
pub(crate) async fn check_restarted(servers: &[Server]) -> Result<()> {
    compare(servers, greeting_after_restart).await
}

async fn compare(servers: &[Server], talk: impl AsyncFn(&Server) -> Result<Transcript>) -> Result<()> {
    let mut first: Option<(&Server, Transcript)> = None;
    for server in servers {
        let transcript = timeout(PATIENCE, talk(server)).await.unwrap_or_else(|_| Err(anyhow!("no answer")));
        let transcript = transcript.with_context(|| format!("the conversation with {} failed", server.name))?;
        let Some((model, wanted)) = &first else {
            first = Some((server, transcript));
            continue;
        };
        for ((step, wanted), (_, got)) in wanted.iter().zip(&transcript) {
            ensure!(wanted == got, "{step}: {} answers\n  {wanted}\n{} answers\n  {got}", model.name, server.name);
        }
    }
    Ok(())
}

async fn conversation(server: &Server) -> Result<Transcript> {
    let mut said = Transcript::new();

    let mut http = HttpClient::connect(server).await?;
    let answer = http.get(&server.path(INSTANCE)).await?;
    let body: Value = serde_json::from_slice(&answer.body).with_context(|| format!("{answer:?}"))?;
    said.push(("GET", json!([answer.status.as_u16(), answer.content_type, body])));

    let mut one = Client::connect(server, INSTANCE).await?;
    said.push(("greeting", receive_json(&mut one, GREETING_FRAMES).await?));

    for echoed in [
        Message::text(text(100)),
        Message::text(""),
        Message::text(r#"{"type":"rpc","id":"without a method"}"#),
        Message::text(r#"{"any":["other","JSON"]}"#),
        Message::binary(binary(1024)),
    ] {
        one.send(echoed.clone()).await?;
        one.expect(&echoed).await?;
    }

    for call in [
        r#"{"args":[2,3],"id":"1","method":"add","type":"rpc"}"#,
        r#"{"args":[0.5,-1],"id":"2","method":"add","type":"rpc"}"#,
        r#"{"args":[],"id":"3","method":"nope","type":"rpc"}"#,
    ] {
        one.send(Message::text(call)).await?;
        said.push(("call", receive_json(&mut one, 1).await?));
    }

    let mut two = Client::join(server, INSTANCE).await?;
    one.send(Message::text(r#"{"state":{"count":7,"text":"seven"},"type":"cf_agent_state"}"#)).await?;
    said.push(("state at a watcher", receive_json(&mut two, 1).await?));
    // The setter itself is sent nothing: the next thing it gets is this.
    one.send(Message::text("still there")).await?;
    one.expect(&Message::text("still there")).await?;

    let mut three = Client::connect(server, INSTANCE).await?;
    said.push(("greeting with the new state", receive_json(&mut three, GREETING_FRAMES).await?));

    let news = Message::text(format!("broadcast:{}", text(90)));
    three.send(news.clone()).await?;
    for client in [&mut one, &mut two, &mut three] {
        client.expect(&news).await?;
    }

    for client in [one, two, three] {
        said.push(("close", json!(client.close().await?)));
    }
    Ok(said)
}

async fn greeting_after_restart(server: &Server) -> Result<Transcript> {
    let mut client = Client::connect(server, INSTANCE).await?;
    let greeting = receive_json(&mut client, GREETING_FRAMES).await?;
    ensure!(greeting.to_string().contains("seven"), "the state did not outlive the process: {greeting}");
    client.close().await?;
    Ok(vec![("greeting after a restart", greeting)])
}

async fn receive_json(client: &mut Client, count: usize) -> Result<Value> {
    let mut frames = Vec::with_capacity(count);
    for _ in 0..count {
        frames.push(alike(serde_json::from_str(&client.receive_text().await?)?));
    }
    Ok(Value::Array(frames))
}

/// The value as JavaScript sees it, where `5.0` is `5`.
fn alike(value: Value) -> Value {
    match value {
        Value::Number(number) => json!(number.as_f64()),
        Value::Array(values) => values.into_iter().map(alike).collect(),
        Value::Object(entries) => entries.into_iter().map(|(key, value)| (key, alike(value))).collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{Transcript, alike, compare};
    use crate::plan::Server;

    fn servers(names: &[&str]) -> Vec<Server> {
        names.iter().map(|name| Server { name: (*name).to_owned(), pid: 1, port: 1 }).collect()
    }

    async fn compared(answers: &[(&str, Value)]) -> Result<(), String> {
        let names: Vec<&str> = answers.iter().map(|(name, _)| *name).collect();
        let talk = async |server: &Server| {
            let answer = answers.iter().find(|(name, _)| *name == server.name).map(|(_, answer)| answer.clone());
            anyhow::Ok(Transcript::from([("GET", json!(1)), ("call", answer.unwrap_or_default())]))
        };
        compare(&servers(&names), talk).await.map_err(|error| format!("{error:#}"))
    }

    #[tokio::test]
    async fn servers_have_to_answer_as_the_first_one_does() {
        let same = [("one", json!([5])), ("two", json!([5]))];
        assert_eq!(compared(&same).await, Ok(()));

        let [one, two] = same;
        let other = [one, two, ("three", json!([6]))];
        assert_eq!(compared(&other).await, Err("call: one answers\n  [5]\nthree answers\n  [6]".to_owned()));
    }

    #[tokio::test]
    async fn a_server_that_breaks_off_fails_the_comparison() {
        let breaks_off = async |_: &Server| anyhow::bail!("closed");
        let error = compare(&servers(&["one"]), breaks_off).await.expect_err("no transcript");
        assert_eq!(format!("{error:#}"), "the conversation with one failed: closed");
    }

    #[test]
    fn numbers_are_the_same_if_they_are_for_javascript() {
        let read = |text: &str| alike(serde_json::from_str(text).expect("JSON"));
        assert_eq!(read(r#"{"a":[5,{"b":-1}],"c":"5"}"#), read(r#"{"c":"5","a":[5.0,{"b":-1.0}]}"#));
        assert_ne!(read("5"), read("5.5"));
        assert_ne!(read("5"), read(r#""5""#));
    }
}
