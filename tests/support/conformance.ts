/** How tests of the conformance worker drive its agents: by calls over a socket, as a suite from outside does. */
import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { fresh, type Peer } from "./peer";
import { connect } from "./workerd";

export type Json = Record<string, unknown>;

const bindings = env as unknown as Record<string, DurableObjectNamespace>;

let calls = 0;

/** Segments by binding where they are not what the pattern below makes of it. */
const SEGMENTS: Record<string, string> = { TAG_AGENT: "tag-agent" };

export const segment = (binding: string) =>
  SEGMENTS[binding] ?? binding.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`).slice(1);

/** One instance of an agent, and a connection to it. */
export class Subject {
  readonly #stub: DurableObjectStub;

  private constructor(
    readonly peer: Peer,
    readonly name: string,
    readonly path: string,
    binding: string,
  ) {
    const namespace = bindings[binding];
    if (!namespace) throw new Error(`no binding ${binding}`);
    this.#stub = namespace.getByName(name);
  }

  /** Connects, and reads nothing. */
  static async of(binding: string, { query = "", name = fresh() } = {}): Promise<Subject> {
    const path = `/agents/${segment(binding)}/${name}`;
    return new Subject(await connect(`${path}?${query}`), name, path, binding);
  }

  /** Another connection to the instance. */
  async connect(query = ""): Promise<Peer> {
    return connect(`${this.path}?${query}`);
  }

  /** All answers to one call, without what all of them have in common. Frames of other kinds are skipped. */
  async answers(method: string, ...args: unknown[]): Promise<Json[]> {
    return answers(this.peer, method, ...args);
  }

  /** What a call returns; `undefined` where the answer has no result. Throws what it failed with. */
  async call<T = unknown>(method: string, ...args: unknown[]): Promise<T> {
    return call<T>(this.peer, method, ...args);
  }

  /** The same on an object that has just been loaded: whatever was in memory is gone. */
  async callAfresh<T = unknown>(method: string, ...args: unknown[]): Promise<T> {
    await this.evict();
    return this.call<T>(method, ...args);
  }

  /** Drops the object from memory and keeps its sockets, as hibernation does. */
  async evict(): Promise<void> {
    await evictDurableObject(this.#stub);
  }

  /** Rings the alarm now; false if none is set. */
  async ring(): Promise<boolean> {
    return runDurableObjectAlarm(this.#stub);
  }

  /** Runs SQL beside the agent's own code. */
  async sql<T = Json>(query: string, ...params: unknown[]): Promise<T[]> {
    return runInDurableObject(this.#stub, (_, state) => state.storage.sql.exec(query, ...params).toArray() as T[]);
  }
}

export async function call<T = unknown>(peer: Peer, method: string, ...args: unknown[]): Promise<T> {
  const answer = (await answers(peer, method, ...args)).at(-1);
  if (answer?.success !== true) throw new Error(answer?.error as string);
  return answer.result as T;
}

export async function answers(peer: Peer, method: string, ...args: unknown[]): Promise<Json[]> {
  const id = `conformance-${++calls}`;
  peer.send({ type: "rpc", id, method, args });
  const found: Json[] = [];
  for (;;) {
    const frame = await peer.json<Json>();
    if (frame.type !== "rpc" || frame.id !== id) continue;
    const { type: _type, id: _id, ...answer } = frame;
    found.push(answer);
    if (answer.done !== false) return found;
  }
}

export const done = (result: unknown) => ({ success: true, done: true, result });
export const chunk = (result: unknown) => ({ success: true, done: false, result });
export const failed = (error: string) => ({ success: false, error });
