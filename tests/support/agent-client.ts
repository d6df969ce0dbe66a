/** The published client. */
import { AgentClient, type AgentClientOptions } from "agents/client";
import { afterAll } from "vitest";
import { host } from "./node";

export type Client = AgentClient<unknown, unknown>;

const clients: Client[] = [];

// Not when its test is over: among concurrent tests there is no telling whose it was.
afterAll(() => clients.forEach((client) => client.close()));

export function agentClient(options: Partial<AgentClientOptions<unknown>>): Client {
  const client = new AgentClient<unknown, unknown>({ agent: "counter", host: host(), ...options });
  clients.push(client);
  return client;
}

/** The next event of that name. */
export function next<T = Event>(target: EventTarget, name: string, accept: (event: T) => boolean = () => true): Promise<T> {
  return new Promise((resolve) => {
    const listen = (event: Event) => {
      if (!accept(event as T)) return;
      target.removeEventListener(name, listen);
      resolve(event as T);
    };
    target.addEventListener(name, listen);
  });
}

/** Everything this client receives from now on, as text. */
export function record(client: Client): string[] {
  const texts: string[] = [];
  client.addEventListener("message", ({ data }: MessageEvent) => {
    texts.push(typeof data === "string" ? data : "(binary)");
  });
  return texts;
}

/** Types of the frames in it. */
export const types = (texts: string[]) => texts.map((text) => (JSON.parse(text) as { type: string }).type);
