/** The client's end of a WebSocket, read frame by frame. Works inside workerd and in Node.js. */

export type Frame = string | Uint8Array<ArrayBuffer>;

export interface Closing {
  code: number;
  reason: string;
  wasClean: boolean;
}

const PATIENCE_MS = 10_000;

let settled = 0;

export class Peer {
  readonly #unread: Frame[] = [];
  readonly #waiting = new Set<() => void>();
  #closing: Closing | undefined;

  constructor(readonly socket: WebSocket) {
    socket.binaryType = "arraybuffer";
    socket.addEventListener("message", ({ data }: { data: unknown }) => {
      this.#unread.push(typeof data === "string" ? data : new Uint8Array(data as ArrayBuffer));
      this.#wake();
    });
    socket.addEventListener("close", ({ code, reason, wasClean }: CloseEvent) => {
      this.#closing = { code, reason, wasClean };
      this.#wake();
    });
  }

  send(message: string | object): void {
    const isJson = typeof message === "object" && !(message instanceof Uint8Array);
    this.socket.send(isJson ? JSON.stringify(message) : (message as string | Uint8Array<ArrayBuffer>));
  }

  close(code?: number, reason?: string): void {
    this.socket.close(code, reason);
  }

  /** The next frame. */
  async next(patienceMs = PATIENCE_MS): Promise<Frame> {
    const frame = await this.#nextOrEnd(patienceMs);
    if (frame === undefined) throw new Error(`closed instead of a frame: ${JSON.stringify(this.#closing)}`);
    return frame;
  }

  /** The next frame as JSON. */
  async json<T = unknown>(patienceMs = PATIENCE_MS): Promise<T> {
    const frame = await this.next(patienceMs);
    if (typeof frame !== "string") throw new Error("binary instead of JSON");
    return JSON.parse(frame) as T;
  }

  /** Sends a command of the fixtures, and returns the next frame. */
  async ask<T = unknown>(command: object, patienceMs = PATIENCE_MS): Promise<T> {
    this.send(command);
    return this.json<T>(patienceMs);
  }

  /** Calls a method, and returns the frames up to the answer, the answer last. */
  async call(method: string, ...args: unknown[]): Promise<Record<string, unknown>[]> {
    const id = `call-${++settled}`;
    this.send({ type: "rpc", id, method, args });
    const frames: Record<string, unknown>[] = [];
    for (;;) {
      const frame = await this.json<Record<string, unknown>>();
      frames.push(frame);
      if (frame.type === "rpc" && frame.id === id) return frames;
    }
  }

  /** All frames that the server sent before it answered this, or before it closed: nothing that was due is missing. */
  async settle(): Promise<Frame[]> {
    const id = `settle-${++settled}`;
    if (this.#closing === undefined && this.socket.readyState === 1)
      this.send({ type: "rpc", id, method: "settle", args: [] });
    const frames: Frame[] = [];
    for (;;) {
      const frame = await this.#nextOrEnd(PATIENCE_MS);
      if (frame === undefined) return frames;
      if (typeof frame === "string" && frame.includes(`"${id}"`)) return frames;
      frames.push(frame);
    }
  }

  /** The same as JSON. */
  async settledJson(): Promise<unknown[]> {
    return (await this.settle()).map((frame) => JSON.parse(frame as string) as unknown);
  }

  /** How the connection ended, once it has. */
  async closed(patienceMs = PATIENCE_MS): Promise<Closing> {
    return this.#until(() => this.#closing, patienceMs, "the close");
  }

  get closing(): Closing | undefined {
    return this.#closing;
  }

  async #nextOrEnd(patienceMs: number): Promise<Frame | undefined> {
    await this.#until(() => this.#unread.length > 0 || this.#closing !== undefined || undefined, patienceMs, "a frame");
    return this.#unread.shift();
  }

  async #until<T>(look: () => T | undefined, patienceMs: number, what: string): Promise<T> {
    const there = look();
    if (there !== undefined) return there;
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      this.#wake();
    }, patienceMs);
    try {
      for (;;) {
        const found = look();
        if (found !== undefined) return found;
        if (late) throw new Error(`waited ${patienceMs} ms for ${what}`);
        await new Promise<void>((resolve) => this.#waiting.add(resolve));
      }
    } finally {
      clearTimeout(timer);
    }
  }

  #wake(): void {
    for (const resume of this.#waiting) resume();
    this.#waiting.clear();
  }
}

export const MCP = {
  type: "cf_agent_mcp_servers",
  mcp: { prompts: [], resources: [], servers: {}, tools: [] },
};

export const state = (value: unknown) => ({ type: "cf_agent_state", state: value });

export const identity = (agent: string, name: string, stateFollows = true) => ({
  type: "cf_agent_identity",
  name,
  agent,
  ...(stateFollows ? { stateFollows } : {}),
});

/** What a protocol connection of the fixture `counter` is greeted with. */
export const greeting = (name: string, value: unknown = { count: 0 }, agent = "counter") => [
  identity(agent, name),
  state(value),
  MCP,
];

/** An instance name that no other test uses. */
export const fresh = (prefix = "room") => `${prefix}-${crypto.randomUUID()}`;

/** Adler-32, as the fixtures' journal has it. */
export function checksum(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (const byte of bytes) {
    low = (low + byte) % 65_521;
    high = (high + low) % 65_521;
  }
  return ((high << 16) | low) >>> 0;
}

/** 0 to 255 over and over. */
export function pattern(count: number): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(count);
  for (let index = 0; index < count; index += 1) bytes[index] = index;
  return bytes;
}
