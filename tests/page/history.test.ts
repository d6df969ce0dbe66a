import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { ChatLog } from "../../public/chat-log";
import type { ConnectionOptions, Status } from "../../public/connection";
import { FrameLog } from "../../public/frames";
import { Room } from "../../public/room";
import type { ChatMessage } from "../../public/wire";

/** Connections that the rooms of a test have made, the newest last. */
const connections = vi.hoisted((): Line[] => []);

interface Line {
  readonly options: ConnectionOptions;
  status: Status;
}

vi.mock("../../public/connection", () => ({
  Connection: class {
    status: Status = { phase: "connecting" };
    constructor(readonly options: ConnectionOptions) {
      connections.push(this);
    }
    send() {}
    close() {}
  },
}));

const MAX_IN_STATE = 200;

const texts = (messages: readonly ChatMessage[]) => messages.map(({ text }) => Number(text));
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => from + index);

/** A chat as the server has it, and one room of the page in it. */
class Chat {
  messages: ChatMessage[] = [];
  room = new Room({ room: "lobby", name: "ada" }, new FrameLog(), { changed() {}, say() {} });
  #line = connections.find(({ options }) => options.channel === "chat")!;

  constructor() {
    vi.stubGlobal("fetch", vi.fn(async (url: string) => Response.json(this.#page(url))));
  }

  /** Others say so much more; whoever is connected is told of each. */
  say(count: number) {
    for (let number = this.messages.length, end = number + count; number < end; number += 1) {
      // All at the same time: their order is the conversation's and not the clock's.
      this.messages.push({ id: `message-${number}`, text: String(number), sender: "bob", timestamp: 1 });
      if (this.#line.status.phase === "live") this.#tell();
    }
  }

  connect() {
    this.#become({ phase: "live" });
    this.#tell();
  }

  disconnect() {
    this.#become({ phase: "reconnecting", attempt: 1 });
  }

  async showEarlier(times = Number.POSITIVE_INFINITY) {
    for (; times > 0 && this.room.historyStatus !== "exhausted"; times -= 1) await this.room.loadEarlier();
  }

  get shown() {
    return texts(this.room.chatLog.messages);
  }

  #become(status: Status) {
    this.#line.status = status;
    this.#line.options.onStatus(status);
  }

  #tell() {
    this.#line.options.onState?.({ messages: this.messages.slice(-MAX_IN_STATE), participants: [] });
  }

  #page(url: string) {
    const query = new URLSearchParams(url.split("?")[1]);
    const before = Number(query.get("before") ?? this.messages.length);
    const from = Math.max(0, before - Number(query.get("limit")));
    return { messages: this.messages.slice(from, before).reverse(), next: from > 0 ? String(from) : null };
  }
}

beforeEach(() => {
  connections.length = 0;
});

afterEach(() => {
  vi.unstubAllGlobals();
});

test("earlier messages come before those of the state, and the beginning is said to be one", async () => {
  const chat = new Chat();
  chat.say(450);
  chat.connect();
  expect(chat.shown).toEqual(range(250, 450));
  await chat.showEarlier(1);
  expect(chat.shown).toEqual(range(150, 450));
  chat.say(5);
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 455));
  expect(chat.room.historyStatus).toBe("exhausted");
});

test("who misses fewer messages than the state holds keeps what was there", () => {
  const chat = new Chat();
  chat.connect();
  chat.say(150);
  chat.disconnect();
  chat.say(100);
  chat.connect();
  expect(chat.shown).toEqual(range(0, 250));
});

test("who misses more than the state holds finds all of it in order", async () => {
  const chat = new Chat();
  chat.connect();
  chat.say(150);
  chat.disconnect();
  chat.say(350);
  chat.connect();
  expect(chat.shown).toEqual(range(300, 500));
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 500));
});

test("what was read of the history before is read again behind a gap", async () => {
  const chat = new Chat();
  chat.say(250);
  chat.connect();
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 250));
  chat.disconnect();
  chat.say(250);
  chat.connect();
  expect(chat.room.historyStatus).toBe("ready");
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 500));
});

test("what is read while the connection is gone ends at what is known", async () => {
  const chat = new Chat();
  chat.say(300);
  chat.connect();
  chat.disconnect();
  chat.say(120);
  await chat.showEarlier(1);
  expect(chat.shown).toEqual(range(20, 300));
  chat.connect();
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 420));
});

test("a page that comes after a gap has been found is not shown before it", async () => {
  const chat = new Chat();
  chat.say(300);
  chat.connect();
  chat.disconnect();
  const reading = chat.showEarlier(1);
  chat.say(250);
  chat.connect();
  await reading;
  expect(chat.shown).toEqual(range(350, 550));
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 550));
});

test("a conversation that began anew does not go on from the one before", async () => {
  const chat = new Chat();
  chat.connect();
  chat.say(150);
  chat.disconnect();
  chat.messages = [];
  chat.connect();
  expect(chat.shown).toEqual([]);
});

test.each([
  ["none", 0, 0, false],
  ["fewer than the state holds", 99, 100, false],
  ["as many as may be all of the state", 100, 1, true],
  ["the longest", 33, 8_000, true],
  ["those with the most bytes a character", 33, 1_300, true],
])("%s: whether there may be earlier messages", (_, count, length, expected) => {
  const log = new ChatLog("ada");
  log.applyState(range(0, count).map((id) => ({ id: `${id}`, text: "x".repeat(length), sender: "bob", timestamp: 1 })));
  expect(log.mayHaveEarlier).toBe(expected);
});

test("a history that does not answer is asked again from the same place", async () => {
  const chat = new Chat();
  chat.say(400);
  chat.connect();
  vi.mocked(fetch).mockRejectedValueOnce(new TypeError("no network"));
  await chat.showEarlier(1);
  expect(chat.room.historyStatus).toBe("failed");
  await chat.showEarlier();
  expect(chat.shown).toEqual(range(0, 400));
});
