/** A bounded record of everything that crosses the page's WebSockets. */

import { isRecord, parseJson } from "./wire";

/** Oldest frames beyond this are forgotten; a busy room would otherwise grow the page without end. */
export const MAX_FRAMES = 500;

export const CHANNELS = ["chat", "presence"] as const;
export type Channel = (typeof CHANNELS)[number];

/** `event` is not a frame on the wire but what happened to the socket: it opened, it closed. */
export type Direction = "in" | "out" | "event";

export interface Frame {
  readonly channel: Channel;
  readonly direction: Direction;
  /** Milliseconds since 1970, by this browser's clock. */
  readonly at: number;
  /** The JSON field `type`; for other data what kind of data it is. */
  readonly type: string;
  readonly text: string;
  readonly sizeBytes: number;
}

export class FrameLog {
  /** Told of each new frame, and of the one that had to go for it. */
  onAppend: (added: Frame, dropped: Frame | undefined) => void = () => {};

  #frames: Frame[] = [];
  #seen = 0;

  get frames(): readonly Frame[] {
    return this.#frames;
  }

  /** How many frames there have been since the last `clear`, those no longer kept included. */
  get seen(): number {
    return this.#seen;
  }

  append(frame: Frame): void {
    this.#seen += 1;
    this.#frames.push(frame);
    const dropped = this.#frames.length > MAX_FRAMES ? this.#frames.shift() : undefined;
    this.onAppend(frame, dropped);
  }

  clear(): void {
    this.#frames = [];
    this.#seen = 0;
  }
}

/**
 * A WebSocket class that records what passes through it.
 *
 * The client takes it in place of the browser's own. Only there is the whole truth visible: every attempt has its own
 * socket, and messages typed while offline leave the client's buffer when the next socket opens, not when `send` is
 * called on the client.
 */
export function recordingSocket(channel: Channel, log: FrameLog): typeof WebSocket {
  return class extends WebSocket {
    constructor(url: string | URL, protocols?: string | string[]) {
      super(url, protocols);
      const path = new URL(url).pathname;
      this.addEventListener("open", () => log.append(eventFrame(channel, "open", path)));
      this.addEventListener("message", (event) => log.append(dataFrame(channel, "in", event.data)));
      this.addEventListener("close", (event) => {
        log.append(eventFrame(channel, `close ${event.code}`, event.reason || "no reason given"));
      });
    }

    override send(data: string | ArrayBufferLike | Blob | ArrayBufferView<ArrayBuffer>): void {
      log.append(dataFrame(channel, "out", data));
      super.send(data as Parameters<WebSocket["send"]>[0]);
    }
  };
}

const utf8 = new TextEncoder();

function eventFrame(channel: Channel, type: string, text: string): Frame {
  return { channel, direction: "event", at: Date.now(), type, text, sizeBytes: 0 };
}

function dataFrame(channel: Channel, direction: Direction, data: unknown): Frame {
  const at = Date.now();
  if (typeof data === "string") {
    return { channel, direction, at, type: typeOf(data), text: data, sizeBytes: utf8.encode(data).byteLength };
  }
  const sizeBytes = data instanceof Blob ? data.size : data instanceof ArrayBuffer ? data.byteLength : 0;
  return { channel, direction, at, type: "binary", text: "", sizeBytes };
}

function typeOf(text: string): string {
  const value = parseJson(text);
  if (value === undefined) return "text";
  return isRecord(value) && typeof value.type === "string" ? value.type : "json";
}
