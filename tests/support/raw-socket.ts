/** A WebSocket client that can do what no browser lets anyone do: cut the wire, and send frames that must not be sent. */
import { connect, type Socket } from "node:net";
import { randomBytes } from "node:crypto";

const TEXT = 0x1;
const CLOSE = 0x8;

export class RawSocket {
  #received = Buffer.alloc(0);
  readonly ended: Promise<void>;

  private constructor(
    readonly socket: Socket,
    /** Status line and headers of the answer to the handshake. */
    readonly answer: string,
  ) {
    this.ended = new Promise((resolve) => socket.once("close", () => resolve()));
    socket.on("data", (data) => {
      this.#received = Buffer.concat([this.#received, data]);
    });
    socket.on("error", () => {});
  }

  /** Shakes hands; the caller looks at what came of it. What is `early` is sent without waiting for the answer. */
  static async dial(url: URL, headers: Record<string, string> = {}, early?: string): Promise<RawSocket> {
    const socket = connect(Number(url.port), url.hostname);
    const lines = Object.entries({
      Host: url.host,
      Connection: "Upgrade",
      Upgrade: "websocket",
      "Sec-WebSocket-Key": randomBytes(16).toString("base64"),
      "Sec-WebSocket-Version": "13",
      ...headers,
    }).map(([name, value]) => `${name}: ${value}`);
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`);
    if (early !== undefined) socket.write(encode(TEXT, Buffer.from(early)));
    let answer = "";
    while (!answer.includes("\r\n\r\n")) {
      const [data] = await new Promise<[Buffer]>((resolve, reject) => {
        socket.once("data", (data) => resolve([data]));
        socket.once("error", reject);
        socket.once("end", () => reject(new Error(`the handshake was cut after ${JSON.stringify(answer)}`)));
      });
      answer += data.toString("latin1");
    }
    const head = answer.slice(0, answer.indexOf("\r\n\r\n"));
    const raw = new RawSocket(socket, head);
    raw.#received = Buffer.from(answer.slice(head.length + 4), "latin1");
    return raw;
  }

  text(payload: string | Buffer): void {
    this.frame(TEXT, Buffer.from(payload as string));
  }

  /** A close frame with any code, or none. */
  close(code?: number, reason = ""): void {
    const head = Buffer.alloc(code === undefined ? 0 : 2);
    if (code !== undefined) head.writeUInt16BE(code);
    this.frame(CLOSE, Buffer.concat([head, Buffer.from(reason)]));
  }

  /** Any frame at all. */
  frame(opcode: number, payload: Buffer): void {
    this.socket.write(encode(opcode, payload));
  }

  /** Ends the TCP connection without a word. */
  cut(): void {
    this.socket.resetAndDestroy();
  }

  /** Code of the close frame that came, or nothing. */
  get closeCode(): number | undefined {
    for (let at = 0; at + 2 <= this.#received.length; ) {
      const [first, second] = [this.#received[at] as number, this.#received[at + 1] as number];
      let head = 2;
      let length = second & 0x7f;
      if (length === 126) {
        length = this.#received.readUInt16BE(at + 2);
        head = 4;
      } else if (length === 127) {
        length = Number(this.#received.readBigUInt64BE(at + 2));
        head = 10;
      }
      if ((first & 0x0f) === CLOSE) return length >= 2 ? this.#received.readUInt16BE(at + head) : 1005;
      at += head + length;
    }
    return undefined;
  }
}

/** One masked frame of up to 64 KiB. */
function encode(opcode: number, payload: Buffer): Buffer {
  const mask = randomBytes(4);
  const length =
    payload.length < 126
      ? Buffer.from([0x80 | payload.length])
      : Buffer.from([0x80 | 126, payload.length >> 8, payload.length & 0xff]);
  const masked = payload.map((byte, index) => byte ^ (mask[index % 4] as number));
  return Buffer.concat([Buffer.from([0x80 | opcode]), length, mask, masked]);
}
