/** How tests inside workerd reach the worker and its objects. */
import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { env, exports } from "cloudflare:workers";
import { inject } from "vitest";
import { Peer } from "./peer";

/** Whether panics unwind. A build that aborts on one loses the isolate with it, as the README says. */
export const PANICS = inject("panic") === "unwind";

/** How a hook can fail, as the fixtures are told. */
export const FAILURES = PANICS ? ["error", "panic"] : ["error"];

const ORIGIN = "https://example.com";

interface Worker {
  fetch(request: Request): Promise<Response>;
}

/** One request to the worker. */
export async function fetchWorker(path: string, init?: RequestInit): Promise<Response> {
  return (exports as unknown as { default: Worker }).default.fetch(new Request(ORIGIN + path, init));
}

/** A WebSocket handshake, whatever it ends in. */
export async function handshake(path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetchWorker(path, { headers: { upgrade: "websocket", ...headers } });
}

/** The client's end of an answered handshake. */
export function peerOf(response: Response): Peer {
  if (response.status !== 101 || !response.webSocket) throw new Error(`no WebSocket but a ${response.status}`);
  const peer = new Peer(response.webSocket as unknown as WebSocket);
  response.webSocket.accept();
  return peer;
}

/** A connection to an agent; its greeting is still unread. */
export async function connect(path: string, headers: Record<string, string> = {}): Promise<Peer> {
  return peerOf(await handshake(path, headers));
}

/** A connection to an agent that has read its greeting. */
export async function join(path: string): Promise<Peer> {
  const peer = await connect(path);
  await peer.settle();
  return peer;
}

/** Bindings of the fixtures by the first segment of their address. */
const BINDINGS: Record<string, string> = {
  counter: "Counter",
  awake: "Awake",
  quiet: "Quiet",
  blank: "Blank",
  bare: "Bare",
  strict: "Strict",
  faulty: "Faulty",
  desk: "Desk",
  starter: "Starter",
  clerk: "Clerk",
  pulse: "Pulse",
};

export function namespace(agent: string): DurableObjectNamespace {
  const binding = BINDINGS[agent];
  if (!binding) throw new Error(`no fixture ${agent}`);
  return (env as unknown as Record<string, DurableObjectNamespace>)[binding] as DurableObjectNamespace;
}

export const stub = (agent: string, name: string) => namespace(agent).getByName(name);

/** Drops the object from memory and keeps its sockets, as hibernation does. */
export const evict = (agent: string, name: string) => evictDurableObject(stub(agent, name));

/** Runs SQL beside the agent's own code. */
export async function sql(agent: string, name: string, query: string, ...params: unknown[]): Promise<unknown[]> {
  return runInDurableObject(stub(agent, name), (_, state) => state.storage.sql.exec(query, ...params).toArray());
}

/** The lines the fixture wrote about what happened to it. */
export async function journal(agent: string, name: string): Promise<string[]> {
  return (await fetchWorker(`/agents/${agent}/${name}?do=journal`)).json();
}

/** Has a fixture of the counter family do something by HTTP. */
export async function order<T = unknown>(agent: string, name: string, command: object): Promise<T> {
  const response = await fetchWorker(`/agents/${agent}/${name}?do=command`, {
    method: "POST",
    body: JSON.stringify(command),
  });
  const text = await response.text();
  if (response.status >= 300) throw new Error(text);
  return (text === "" ? undefined : JSON.parse(text)) as T;
}
