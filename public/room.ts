/** One visit to a room: two agent connections, and what they have told us so far. */

import { ChatLog } from "./chat-log";
import { Connection, type Status } from "./connection";
import type { Channel, FrameLog } from "./frames";
import { History } from "./history";
import { Arrivals, type Person, peopleIn } from "./people";
import type { Place } from "./place";
import {
  type ChatMessage,
  decodeChatFrame,
  decodeChatState,
  decodePresenceFrame,
  encodeChat,
  PING,
  PONG,
  type PresenceUser,
} from "./wire";

export interface RoomListener {
  /** Something to show has changed. */
  changed(): void;
  /** Something to say once, in passing. */
  say(text: string): void;
}

export type HistoryStatus = "ready" | "loading" | "failed" | "exhausted";

export class Room {
  readonly place: Place;
  readonly chatLog: ChatLog;

  #listener: RoomListener;
  #chat: Connection;
  #presence: Connection;
  #history: History;
  #historyStatus: HistoryStatus = "ready";
  #arrivals: Arrivals;
  #participants: readonly string[] = [];
  #present: readonly PresenceUser[] = [];
  #pingSentAt: number | null = null;
  #roundTripMs: number | null = null;

  constructor(place: Place, frames: FrameLog, listener: RoomListener) {
    this.place = place;
    this.chatLog = new ChatLog(place.name);
    this.#listener = listener;
    this.#history = new History(place.room);
    this.#arrivals = new Arrivals((text) => listener.say(text));

    this.#chat = new Connection({
      agent: "ChatAgent",
      room: place.room,
      query: { userId: place.name },
      channel: "chat",
      frames,
      onStatus: (status) => this.#chatStatusChanged(status),
      onState: (state) => this.#chatStateArrived(state),
      onText: (text) => this.#chatTextArrived(text),
    });
    this.#presence = new Connection({
      agent: "PresenceAgent",
      room: place.room,
      query: { name: place.name },
      channel: "presence",
      frames,
      onStatus: (status) => this.#presenceStatusChanged(status),
      onText: (text) => this.#presenceTextArrived(text),
    });
  }

  get people(): Person[] {
    return peopleIn(this.#present, this.#participants, this.place.name);
  }

  get historyStatus(): HistoryStatus {
    return this.#historyStatus;
  }

  /** Time from `ping` to `pong` on the presence connection, once measured. */
  get roundTripMs(): number | null {
    return this.#roundTripMs;
  }

  statusOf(channel: Channel): Status {
    return channel === "chat" ? this.#chat.status : this.#presence.status;
  }

  send(text: string): void {
    // Noted before it is sent: the answer must find the draft.
    this.chatLog.draft(text, this.#chat.status.phase === "live" ? "sent" : "waiting");
    this.#chat.send(encodeChat(text));
    this.#listener.changed();
  }

  sendAgain(key: string): void {
    const draft = this.chatLog.takeDraft(key);
    if (draft !== undefined) this.send(draft.text);
  }

  async loadEarlier(): Promise<void> {
    if (this.#historyStatus === "loading") return;
    this.#historyStatus = "loading";
    this.#listener.changed();
    const history = this.#history;
    let older: ChatMessage[] | null;
    try {
      older = await history.older(this.chatLog.messages[0]?.id);
    } catch {
      older = null;
    }
    // What it was to stand before has been forgotten meanwhile.
    if (history !== this.#history) return;
    if (older !== null) this.chatLog.prepend(older);
    this.#historyStatus = older === null ? "failed" : history.exhausted ? "exhausted" : "ready";
    this.#listener.changed();
  }

  /** Tells the server that somebody is looking, which refreshes `lastSeen` there and the round-trip time here. */
  ping(): void {
    if (this.#presence.status.phase !== "live") return;
    this.#pingSentAt = performance.now();
    this.#presence.send(PING);
  }

  /** Tries the refused connections again. */
  retry(): void {
    for (const connection of [this.#chat, this.#presence]) {
      if (connection.status.phase === "refused") connection.retry();
    }
  }

  leave(): void {
    this.#arrivals.stop();
    this.#chat.close();
    this.#presence.close();
  }

  #chatStatusChanged(status: Status): void {
    if (status.phase === "live") this.chatLog.connected();
    else this.chatLog.disconnected();
    this.#listener.changed();
  }

  #chatStateArrived(value: unknown): void {
    const state = decodeChatState(value);
    if (state === null) return;
    if (this.chatLog.applyState(state.messages)) {
      this.#history = new History(this.place.room);
      this.#historyStatus = "ready";
    }
    this.#participants = state.participants;
    this.#listener.changed();
  }

  #chatTextArrived(text: string): void {
    const frame = decodeChatFrame(text);
    if (frame === null) return;
    switch (frame.type) {
      case "welcome":
        this.#participants = frame.participants;
        break;
      case "message_added":
        this.chatLog.applyAdded(frame.message);
        break;
      case "error":
        this.chatLog.rejected();
        this.#listener.say(`The room answered: ${frame.message}`);
        break;
    }
    this.#listener.changed();
  }

  #presenceStatusChanged(status: Status): void {
    if (status.phase === "live") this.ping();
    else this.#roundTripMs = null;
    this.#listener.changed();
  }

  #presenceTextArrived(text: string): void {
    if (text === PONG) {
      if (this.#pingSentAt !== null) this.#roundTripMs = performance.now() - this.#pingSentAt;
      this.#pingSentAt = null;
      this.#listener.changed();
      return;
    }
    const frame = decodePresenceFrame(text);
    if (frame === null) return;
    this.#present = frame.users;
    this.#arrivals.update(peopleIn(frame.users, [], this.place.name));
    this.#listener.changed();
  }
}
