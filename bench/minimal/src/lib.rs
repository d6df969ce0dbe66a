//! The agent of the benchmark as a bare Durable Object: what one would write on the `worker` crate who knows the wire protocol, wants
//! its frames and its persistence, and nothing else.

use std::cell::RefCell;
use std::panic::{RefUnwindSafe, UnwindSafe};

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use worker::{
    DurableObject, Env, Error, Request, Response, Result, SqlStorageValue, State, WebSocket, WebSocketIncomingMessage,
    WebSocketPair, durable_object, event,
};

const MCP_SERVERS: &str = r#"{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}"#;

/// The object.
#[durable_object]
#[derive(Debug)]
pub struct BenchAgent {
    ctx: State,
    state: RefCell<Option<String>>,
}

// A panic costs the event it happens in, as in the agent that this is compared with; what it leaves half done is put up with.
impl UnwindSafe for BenchAgent {}
impl RefUnwindSafe for BenchAgent {}

#[derive(Deserialize)]
struct Frame<'a> {
    r#type: &'a str,
    id: Option<&'a str>,
    method: Option<&'a str>,
    args: Option<Vec<f64>>,
    #[serde(borrow)]
    state: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Row {
    state: String,
}

impl DurableObject for BenchAgent {
    fn new(ctx: State, _: Env) -> Self {
        Self { state: RefCell::new(load(&ctx).ok().flatten()), ctx }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        if request.headers().get("Upgrade")?.as_deref() != Some("websocket") {
            return Response::from_json(&json!({"ok": true, "agent": "bench-agent"}));
        }
        let WebSocketPair { client, server } = WebSocketPair::new()?;
        let id = request.url()?.query_pairs().find(|(key, _)| key == "_pk").map(|(_, id)| id.into_owned());
        let id = id.unwrap_or_else(|| format!("{:?}", self.ctx.id()));
        self.ctx.accept_websocket_with_tags(&server, &[&id]);
        server.serialize_attachment(&id)?;
        if self.state.borrow().is_none() {
            self.set_state(r#"{"count":0,"text":""}"#, Some(&server))?;
        }
        let name = self.ctx.id().name().unwrap_or_default();
        server.send(&json!({"name": name, "agent": "bench-agent", "stateFollows": true, "type": "cf_agent_identity"}))?;
        if let Some(state) = &*self.state.borrow() {
            server.send_with_str(format!(r#"{{"state":{state},"type":"cf_agent_state"}}"#))?;
        }
        server.send_with_str(MCP_SERVERS)?;
        Response::from_websocket(client)
    }

    async fn websocket_message(&self, socket: WebSocket, message: WebSocketIncomingMessage) -> Result<()> {
        let text = match message {
            WebSocketIncomingMessage::Binary(bytes) => return socket.send_with_bytes(bytes),
            WebSocketIncomingMessage::String(text) => text,
        };
        if text.starts_with('{') {
            match serde_json::from_str(&text) {
                Ok(Frame { r#type: "rpc", id: Some(id), method: Some(method), args: Some(args), .. }) => {
                    return socket.send(&call(id, method, &args));
                }
                Ok(Frame { r#type: "cf_agent_state", state: Some(state), .. }) => {
                    return self.set_state(state.get(), Some(&socket));
                }
                _ => {}
            }
        }
        if text.starts_with("broadcast:") {
            self.broadcast(&text, None);
            return Ok(());
        }
        socket.send_with_str(text)
    }

    async fn websocket_close(&self, socket: WebSocket, code: usize, reason: String, _: bool) -> Result<()> {
        let code = u16::try_from(code).map_err(|_| Error::from("no close code"))?;
        // Closed already, or a code that must not be sent.
        let _ = socket.close(Some(code), Some(reason));
        Ok(())
    }
}

impl BenchAgent {
    fn set_state(&self, json: &str, source: Option<&WebSocket>) -> Result<()> {
        let sql = self.ctx.storage().sql();
        sql.exec(
            "INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES ('cf_state_row_id', ?)",
            vec![SqlStorageValue::String(json.to_owned())],
        )?;
        self.state.replace(Some(json.to_owned()));
        self.broadcast(&format!(r#"{{"state":{json},"type":"cf_agent_state"}}"#), source);
        Ok(())
    }

    fn broadcast(&self, message: &str, except: Option<&WebSocket>) {
        for socket in self.ctx.get_websockets() {
            if except != Some(&socket) {
                // One that fails has just left.
                let _ = socket.send_with_str(message);
            }
        }
    }
}

fn load(ctx: &State) -> Result<Option<String>> {
    let sql = ctx.storage().sql();
    sql.exec("CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)", None)?;
    let rows: Vec<Row> = sql.exec("SELECT state FROM cf_agents_state WHERE id = 'cf_state_row_id'", None)?.to_array()?;
    Ok(rows.into_iter().next().map(|row| row.state))
}

fn call(id: &str, method: &str, args: &[f64]) -> Value {
    match (method, args) {
        ("add", [a, b]) => json!({"done": true, "id": id, "result": a + b, "success": true, "type": "rpc"}),
        _ => json!({"type": "rpc", "id": id, "success": false, "error": format!("Method {method} does not exist")}),
    }
}

#[event(fetch)]
async fn fetch(request: Request, env: Env, _: worker::Context) -> Result<Response> {
    let path = request.path();
    match path.strip_prefix("/agents/bench-agent/").and_then(|rest| rest.split('/').next()) {
        Some(name) if !name.is_empty() => {
            env.durable_object("BenchAgent")?.get_by_name(name)?.fetch_with_request(request).await
        }
        _ => Response::error("Not found", 404),
    }
}
