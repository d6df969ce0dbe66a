import { createHmac } from "node:crypto";
import { MODES } from "./scenarios.mjs";

/** How long; as in `MODES`. Answers are slow: what is short elsewhere is over before the compilers have come to rest. */
export const TIMES = {
  full: MODES.full.load,
  short: { rounds: 5, warm_up_rounds: 2, warm_up_ms: 250, measure_ms: 500 },
};

/** What the shipped worker is measured with; anything else as it comes. */
export const VARS = {
  JWT_SECRET: "a secret of at least thirty-two bytes",
  // Of the scripted model, between two words: as short as it can be while each word still is an event of its own, like a network's.
  MODEL_DELAY_MS: "1",
};

const encoded = (value) => Buffer.from(value).toString("base64url");

/** A token that is good for as long as a run takes. */
function jwt(claims) {
  const exp = Math.floor(Date.now() / 1_000) + 24 * 3_600;
  const signed = `${encoded('{"alg":"HS256","typ":"JWT"}')}.${encoded(JSON.stringify({ ...claims, exp }))}`;
  return `${signed}.${createHmac("sha256", VARS.JWT_SECRET).update(signed).digest("base64url")}`;
}

const repeated = (count, frame) => Array(count).fill(frame);

/** The pieces in which the scripted model answers `said`; a changed script ends the run, as no answer matches any more. */
const pieces = (said) =>
  `This is the scripted model: it understands nothing and repeats what you said. You said: ${said}`.split(/(?<= )/);

/** Something that is said, and the frames that come of it. */
const turn = (message, ...frames) => ({ send: typeof message === "string" ? message : JSON.stringify(message), frames });

const HELLO = "Hello there!";
const LONG = "some words more ".repeat(16) + HELLO;
const FURTHER_PIECES = pieces(LONG).length - pieces(HELLO).length;

const counter = (exchange) => ({
  path: "/agents/counter/{slice}",
  greeting: [{ type: "cf_agent_identity" }, { type: "cf_agent_state", state: { count: 0 } }, { type: "cf_agent_mcp_servers" }],
  ...exchange,
});

const session = (exchange) => ({
  path: "/agents/session-agent/{slice}",
  greeting: [{ type: "connection:established" }],
  ...exchange,
});

const START = turn(
  { type: "agent:start", payload: { projectId: "demo", projectPath: "/srv/demo" }, correlationId: "1" },
  { type: "agent:started", correlationId: "1", seq: 1 },
);

function ask(content) {
  const status = (status) => ({ type: "status:update", payload: { status }, correlationId: "2" });
  const chunks = pieces(content).map((content) => ({ type: "stream:chunk", payload: { content }, correlationId: "2" }));
  return turn(
    { type: "agent:message", payload: { content }, correlationId: "2" },
    ...[status("thinking"), status("streaming"), ...chunks, { type: "stream:complete", correlationId: "2" }, status("idle")],
  );
}

const answered = (content) => session({ opening: [START], turns: [ask(content)] });

/** An answer to somebody whose session has logged at least so many frames before. */
export const answeredAfter = (frames) => {
  const long = ask(LONG);
  return session({ opening: [START, ...repeated(Math.ceil(frames / long.frames.length), long)], turns: [ask(HELLO)] });
};

const world = (exchange) => ({
  path: "/ws?user=00000000-0000-4000-{slice}-{lane}",
  greeting: [{ type: "status" }],
  opening: [turn({ id: "1", type: "world_select", payload: { worldName: "mine" } }, { type: "world_selected", replyTo: "1" })],
  ...exchange,
});

const LISTEN = turn(
  { id: "2", type: "event_subscribe", payload: { events: ["chunk"] } },
  { type: "status", replyTo: "2", payload: { subscribed: ["chunk"] } },
);

const say = (content, ...frames) => turn({ id: "3", type: "chat_send", payload: { content } }, ...frames);

const response = (content, agent) => ({
  type: "chat_response",
  replyTo: "3",
  payload: { ...(agent && { agent }), content: pieces(content).join("") },
});

function streamed(content) {
  const chunk = (content) => ({ type: "event_stream", payload: { event: "chunk", data: { agent: "helper", content } } });
  const { opening } = world();
  return world({
    opening: [...opening, LISTEN],
    turns: [say(content, ...pieces(content).map(chunk), response(content, "helper"))],
  });
}

const hub = (exchange) => ({
  path: `/agents/hub-agent/{slice}-{lane}?conversation=c1&token=${jwt({ sub: "ada" })}`,
  greeting: [
    { type: "auth", data: { success: true, userId: "ada" } },
    { type: "user_presence", data: { userId: "ada", status: "online" } },
  ],
  ...exchange,
});

const published = (route, type, data, sockets) =>
  hub({
    sockets,
    turns: [
      {
        request: {
          method: "POST",
          path: `/agents/hub-agent/{slice}-{lane}/${route}`,
          headers: { authorization: `Bearer ${jwt({ sub: "builder", scope: "hub:publish" })}` },
          body: JSON.stringify(data),
          status: 200,
          answer: { delivered: sockets },
        },
        frames: [{ type, data }],
      },
    ],
  });

const status = (sockets) =>
  published("agent-status", "agent_status", { agentName: "builder", state: "working", currentTask: "tests", progress: 40 }, sockets);

const chat = (sockets) =>
  published(
    "chat-message",
    "chat_message",
    { conversationId: "c1", messageId: "m1", content: "it compiles", sender: "builder", timestamp: "2026-01-01T00:00:00.000Z" },
    sockets,
  );

/** A socket that is opened, greeted and closed, with so many pings in between: a hub does not hear more than some at once. */
const PINGS = 16;
const hubVisit = (pings) =>
  hub({ path: hub().path.replace("-{lane}", ""), is_visit: true, turns: repeated(pings, turn({ type: "ping" }, { type: "pong" })) });

/** What all others are divided by: `get` is the least that `Counter` does, one frame for one frame. */
export const ECHO = { name: "Counter, `get`", exchange: counter({ turns: [turn("get", { type: "count", count: 0 })] }), lanes: 16 };

/**
 * What is measured: `exchange` as in load/src/exchange.rs; `lanes` is how many of it are under way at any time.
 *
 * With `beyond`, the figure is what the exchange takes beyond that one, divided by `count`.
 */
export const EXCHANGES = [
  {
    agent: "Counter",
    name: "`increment`",
    exchange: { path: "/agents/counter/{slice}-{lane}?protocol=false", turns: [turn("increment", { type: "count" })] },
    lanes: 8,
  },
  { agent: "Counter", name: "connect", exchange: counter({ is_visit: true, turns: [] }), lanes: 8 },

  { agent: "SessionAgent", name: "connect", exchange: session({ path: "/agents/session-agent/{slice}-{lane}", is_visit: true, turns: [] }), lanes: 8 },
  { agent: "SessionAgent", name: "text `ping`", exchange: session({ turns: [turn("ping", "pong")] }), lanes: 16 },
  { agent: "SessionAgent", name: "`ping`", exchange: session({ turns: [turn({ type: "ping" }, { type: "pong" })] }), lanes: 16 },
  { agent: "SessionAgent", name: `\`agent:message\`, ${pieces(HELLO).length} chunks`, exchange: answered(HELLO), lanes: 4 },
  {
    agent: "SessionAgent",
    name: "each chunk more",
    exchange: answered(LONG),
    beyond: answered(HELLO),
    count: FURTHER_PIECES,
    lanes: 4,
  },

  { agent: "WorldAgent", name: "connect", exchange: world({ opening: [], is_visit: true, turns: [] }), lanes: 8 },
  { agent: "WorldAgent", name: "`ping`", exchange: world({ turns: [turn({ id: "4", type: "ping" }, { type: "pong", replyTo: "4" })] }), lanes: 16 },
  {
    agent: "WorldAgent",
    name: "GET the world's agents",
    exchange: world({
      turns: [
        {
          request: {
            method: "GET",
            path: "/worlds/mine/agents?user=00000000-0000-4000-{slice}-{lane}",
            status: 200,
            answer: [{ id: "helper" }, { id: "skeptic" }],
          },
        },
      ],
    }),
    lanes: 16,
  },
  {
    agent: "WorldAgent",
    name: "`chat_send` to 1 agent",
    exchange: world({ turns: [say(`@helper ${HELLO}`, response(`@helper ${HELLO}`, "helper"))] }),
    lanes: 4,
  },
  {
    agent: "WorldAgent",
    name: "`chat_send` to 2 agents",
    exchange: world({ turns: [say(HELLO, ...repeated(2, response(HELLO)))] }),
    lanes: 4,
  },
  {
    agent: "WorldAgent",
    name: `\`chat_send\` to 1 agent, ${pieces(`@helper ${HELLO}`).length} chunks`,
    exchange: streamed(`@helper ${HELLO}`),
    lanes: 4,
  },
  {
    agent: "WorldAgent",
    name: "each chunk more",
    exchange: streamed(`@helper ${LONG}`),
    beyond: streamed(`@helper ${HELLO}`),
    count: FURTHER_PIECES,
    lanes: 4,
  },

  { agent: "HubAgent", name: "connect, with a token", exchange: hubVisit(0), lanes: 8 },
  { agent: "HubAgent", name: "`ping`", exchange: hubVisit(PINGS), beyond: hubVisit(0), count: PINGS, lanes: 8 },
  { agent: "HubAgent", name: "POST `agent-status`, 1 socket", exchange: status(1), lanes: 4 },
  { agent: "HubAgent", name: "POST `agent-status`, 10 sockets", exchange: status(10), lanes: 4 },
  { agent: "HubAgent", name: "POST `chat-message`, 10 sockets", exchange: chat(10), lanes: 4 },
];

/** What an exchange is called. */
export const titleOf = ({ agent, name }) => (agent ? `${agent}, ${name}` : name);

/** An exchange as the load generator takes it, under a name. */
export const scenarioOf = (name, { exchange, lanes }) => ({ name, operation: { exchange }, lanes });
