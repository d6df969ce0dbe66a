/** How tests in Node.js reach the fixtures that a `wrangler dev` serves. */
import { afterAll, beforeAll } from "vitest";
import { startDevServer, type DevServer } from "../client/dev-server.mjs";
import { Peer } from "./peer";

let server: DevServer | undefined;

/** Serves the fixtures while the tests of this file run. */
export function serveFixtures(): void {
  beforeAll(async () => {
    server = await startDevServer({ config: "tests/fixtures/wrangler.toml" });
  });
  afterAll(() => server?.stop());
}

export function url(path: string, origin = server?.url): URL {
  if (!origin) throw new Error("no server runs");
  return new URL(path, origin);
}

/** Host and port, as the official client takes them. */
export const host = () => url("/").host;

/** A plain WebSocket, once it is open. Node's own, so not the client under test. */
export async function connect(path: string, origin?: URL): Promise<Peer> {
  const address = url(path, origin);
  address.protocol = "ws:";
  const socket = new WebSocket(address);
  const peer = new Peer(socket);
  await new Promise<void>((resolve, reject) => {
    socket.addEventListener("open", () => resolve(), { once: true });
    socket.addEventListener("error", () => reject(new Error(`${path}: no connection`)), { once: true });
  });
  return peer;
}

/** The lines that a fixture wrote about what happened to it. */
export async function journal(agent: string, name: string): Promise<string[]> {
  return (await (await fetch(url(`/agents/${agent}/${name}?do=journal`))).json()) as string[];
}

/** Has a fixture of the counter family do something by HTTP. */
export async function order(agent: string, name: string, command: object): Promise<unknown> {
  const response = await fetch(url(`/agents/${agent}/${name}?do=command`), {
    method: "POST",
    body: JSON.stringify(command),
  });
  if (!response.ok) throw new Error(await response.text());
  const text = await response.text();
  return text === "" ? undefined : JSON.parse(text);
}
