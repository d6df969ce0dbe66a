/** A server that speaks the chat-completions API, and misbehaves as it is told. */
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as pause } from "node:timers/promises";

/** A request as it came. */
export interface Ask {
  headers: IncomingHttpHeaders;
  model: string;
  stream: boolean;
  messages: { role: string; content: string }[];
}

/** What becomes of a request. Without anything: a complete answer of three pieces. */
export interface Behaviour {
  /** Another status than 200, with `body` for its body. */
  status?: number;
  body?: string;
  /** The pieces of the answer. */
  pieces?: string[];
  /** Milliseconds before each piece. */
  pauseMs?: number;
  /**
   * What follows the pieces: the end of the answer; nothing, for ever; a cut within an event; the end of the body without the end
   * of the answer; an event that is no JSON; an error in place of a piece.
   */
  ending?: "done" | "silence" | "cut" | "early" | "malformed" | "error";
}

/** One request and its end. */
export interface Exchange {
  ask: Ask;
  /** Resolves when it is over: to whether the client went away before its end. */
  aborted: Promise<boolean>;
}

export class ChatCompletions {
  /** Every request so far. */
  readonly exchanges: Exchange[] = [];
  /** What becomes of the next requests. */
  behave: (ask: Ask) => Behaviour = () => ({});

  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#serve(request, response));
  }

  static async listen(): Promise<ChatCompletions> {
    const api = new ChatCompletions();
    await new Promise<void>((resolve) => api.#server.listen(0, "127.0.0.1", resolve));
    return api;
  }

  /** What a worker takes as `MODEL_BASE_URL`. */
  get baseUrl(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/v1`;
  }

  /** Variables of a worker that uses this server. */
  get vars(): Record<string, string> {
    return { MODEL: "openai", MODEL_BASE_URL: this.baseUrl, MODEL_NAME: "test-model", MODEL_API_KEY: "test-key" };
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let text = "";
    for await (const chunk of request.setEncoding("utf8")) text += chunk;
    if (request.method !== "POST" || request.url !== "/v1/chat/completions") {
      response.writeHead(404).end();
      return;
    }
    const ask: Ask = { headers: request.headers, ...(JSON.parse(text) as Omit<Ask, "headers">) };
    const closed = new AbortController();
    const aborted = new Promise<boolean>((resolve) =>
      response.once("close", () => {
        closed.abort();
        resolve(!response.writableFinished);
      }),
    );
    this.exchanges.push({ ask, aborted });
    // A client that goes away ends the pauses.
    await answer(response, this.behave(ask), closed.signal).catch(() => response.destroy());
  }
}

async function answer(response: ServerResponse, behaviour: Behaviour, closed: AbortSignal): Promise<void> {
  const { status = 200, body = "", pieces = ["One ", "two ", "three."], pauseMs = 0, ending = "done" } = behaviour;
  if (status !== 200) {
    response.writeHead(status, { "content-type": "application/json" }).end(body);
    return;
  }
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  for (const piece of pieces) {
    await pause(pauseMs, undefined, { signal: closed });
    response.write(event({ choices: [{ index: 0, delta: { content: piece }, finish_reason: null }] }));
  }
  switch (ending) {
    case "done":
      response.end(`${event({ choices: [{ index: 0, delta: {}, finish_reason: "stop" }] })}data: [DONE]\n\n`);
      break;
    case "silence":
      break;
    case "cut":
      await pause(50, undefined, { signal: closed }); // what was written before has left by then
      response.write('data: {"choices":[{"delta":{"content":"los');
      await pause(50, undefined, { signal: closed });
      response.destroy();
      break;
    case "early":
      response.end();
      break;
    case "malformed":
      response.end("data: oops\n\ndata: [DONE]\n\n");
      break;
    case "error":
      response.end(`${event({ error: { message: "out of memory" } })}data: [DONE]\n\n`);
      break;
  }
}

const event = (value: object) => `data: ${JSON.stringify(value)}\n\n`;
