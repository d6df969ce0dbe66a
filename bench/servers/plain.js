// The same agent as a Durable Object by hand, without an SDK: what one would write who knows the wire protocol, wants its frames and
// its persistence, and nothing else of the SDK.
import { DurableObject } from "cloudflare:workers";

const ROUTE = /^\/agents\/bench-agent\/([^/]+)/;
const MCP_SERVERS = '{"mcp":{"prompts":[],"resources":[],"servers":{},"tools":[]},"type":"cf_agent_mcp_servers"}';

export class BenchAgent extends DurableObject {
  #state;

  constructor(ctx, env) {
    super(ctx, env);
    const { sql } = ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS cf_agents_state (id TEXT PRIMARY KEY NOT NULL, state TEXT)");
    const [row] = sql.exec("SELECT state FROM cf_agents_state WHERE id = 'cf_state_row_id'").toArray();
    if (row) this.#state = row.state;
  }

  async fetch(request) {
    if (request.headers.get("Upgrade") !== "websocket") return Response.json({ ok: true, agent: "bench-agent" });

    const { 0: client, 1: server } = new WebSocketPair();
    const id = new URL(request.url).searchParams.get("_pk") || crypto.randomUUID();
    this.ctx.acceptWebSocket(server, [id]);
    server.serializeAttachment({ id });
    if (this.#state === undefined) this.#setState('{"count":0,"text":""}', server);
    const identity = { name: this.ctx.id.name, agent: "bench-agent", stateFollows: true, type: "cf_agent_identity" };
    server.send(JSON.stringify(identity));
    server.send(`{"state":${this.#state},"type":"cf_agent_state"}`);
    server.send(MCP_SERVERS);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(socket, message) {
    if (typeof message === "string") {
      // Parsing what is no JSON costs an exception, and every frame of the protocol is an object.
      const frame = message.startsWith("{") ? parse(message) : undefined;
      if (frame?.type === "rpc" && typeof frame.id === "string" && typeof frame.method === "string" && Array.isArray(frame.args))
        return socket.send(JSON.stringify(this.#call(frame)));
      if (frame?.type === "cf_agent_state" && "state" in frame) return this.#setState(JSON.stringify(frame.state), socket);
      if (message.startsWith("broadcast:")) return this.#broadcast(message);
    }
    socket.send(message);
  }

  webSocketClose(socket, code, reason) {
    try {
      socket.close(code, reason);
    } catch {
      // Closed already, or a code that must not be sent.
    }
  }

  #call({ id, method, args: [a, b] }) {
    if (method !== "add") return { type: "rpc", id, success: false, error: `Method ${method} does not exist` };
    return { done: true, id, result: a + b, success: true, type: "rpc" };
  }

  #setState(json, source) {
    this.ctx.storage.sql.exec("INSERT OR REPLACE INTO cf_agents_state (id, state) VALUES ('cf_state_row_id', ?)", json);
    this.#state = json;
    this.#broadcast(`{"state":${json},"type":"cf_agent_state"}`, source);
  }

  #broadcast(message, except) {
    for (const socket of this.ctx.getWebSockets()) {
      if (socket === except) continue;
      try {
        socket.send(message);
      } catch {
        // This one has just left.
      }
    }
  }
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export default {
  fetch(request, env) {
    const name = ROUTE.exec(new URL(request.url).pathname)?.[1];
    if (!name) return new Response("Not found", { status: 404 });
    return env.BenchAgent.get(env.BenchAgent.idFromName(name)).fetch(request);
  },
};
