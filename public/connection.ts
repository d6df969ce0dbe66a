/** One agent connection: the published client, told apart into the four states a person can understand. */

import { AgentClient } from "agents/client";
import { type Channel, type FrameLog, recordingSocket } from "./frames";

export type Status =
  | { readonly phase: "connecting" }
  | { readonly phase: "live" }
  | { readonly phase: "reconnecting"; readonly attempt: number }
  /** The server asked us to stay away (close code 1008 or 4000–4999); the client will not try again by itself. */
  | { readonly phase: "refused"; readonly code: number; readonly reason: string };

export interface ConnectionOptions {
  /** Class name of the agent; the client turns it into the path segment. */
  readonly agent: string;
  readonly room: string;
  readonly query: Record<string, string>;
  readonly channel: Channel;
  readonly frames: FrameLog;
  readonly onStatus: (status: Status) => void;
  readonly onState?: (state: unknown) => void;
  readonly onText: (text: string) => void;
}

export class Connection {
  #client: AgentClient;
  #status: Status = { phase: "connecting" };
  #closed = false;
  #onStatus: (status: Status) => void;

  constructor(options: ConnectionOptions) {
    this.#onStatus = options.onStatus;
    this.#client = new AgentClient({
      agent: options.agent,
      name: encodeURIComponent(options.room),
      host: location.host,
      // The client guesses `ws` or `wss` from the host name; the page's own scheme is the one that works.
      protocol: location.protocol === "https:" ? "wss" : "ws",
      query: options.query,
      WebSocket: recordingSocket(options.channel, options.frames),
      onStateUpdate: (state) => options.onState?.(state),
      onConnectionError: ({ code, reason }) => this.#become({ phase: "refused", code, reason }),
    });
    this.#client.addEventListener("open", () => this.#become({ phase: "live" }));
    this.#client.addEventListener("close", () => {
      if (this.#client.shouldReconnect) this.#become({ phase: "reconnecting", attempt: this.#client.retryCount });
    });
    this.#client.addEventListener("message", (event) => {
      if (typeof event.data === "string" && !this.#closed) options.onText(event.data);
    });
  }

  get status(): Status {
    return this.#status;
  }

  /** Sends now, or, while there is no connection, as soon as there is one. */
  send(text: string): void {
    this.#client.send(text);
  }

  /** Tries again after a refusal. */
  retry(): void {
    this.#become({ phase: "connecting" });
    this.#client.reconnect();
  }

  close(): void {
    this.#closed = true;
    this.#client.close();
  }

  #become(status: Status): void {
    if (this.#closed) return;
    this.#status = status;
    this.#onStatus(status);
  }
}
