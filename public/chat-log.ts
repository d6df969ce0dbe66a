/**
 * What this browser knows of a conversation: the server's messages, and our own that it has not confirmed yet.
 *
 * The server sends the newest messages as state, and tells the author of a message about it in a frame of its own. A
 * confirmation carries no reference to what was sent, so a message of ours that we have not seen before, with the text
 * of one that waits, is taken as that one.
 */

import type { ChatMessage } from "./wire";

/** Fewer messages than this all fit into the state, `MAX_IN_STATE` in src/chat.rs, if they are short. */
const FULL_FROM_MESSAGES = 100;

/** With fewer characters they are: each takes up to 6 bytes of `MAX_BYTES_IN_STATE`, and what is beside the text some more. */
const FULL_FROM_LENGTH = 32 * 1_024;

/**
 * - `waiting`: typed while there was no connection; leaves when there is one.
 * - `sent`: handed to the open socket.
 * - `in doubt`: the socket closed before an answer came; the next state tells.
 * - `failed`: the server does not have it.
 */
export type Delivery = "waiting" | "sent" | "in doubt" | "failed";

export interface Draft {
  /** Stable for the life of the message on this page, also once the server has given it an id. */
  readonly key: string;
  readonly text: string;
  readonly typedAt: number;
  readonly delivery: Delivery;
}

export class ChatLog {
  #me: string;
  #messages: readonly ChatMessage[] = [];
  #drafts: Draft[] = [];
  #draftsMade = 0;
  /** Key of the draft that a message of ours was, by message id. */
  #keys = new Map<string, string>();
  #loaded = false;
  #wasAway = false;

  constructor(me: string) {
    this.#me = me;
  }

  /** Oldest first. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Our messages without a confirmation, in the order they were typed. */
  get drafts(): readonly Draft[] {
    return this.#drafts;
  }

  /** Whether the first state has arrived. Until then "no messages" means "not known yet". */
  get loaded(): boolean {
    return this.#loaded;
  }

  /** Whether the conversation may have begun before these messages: the state moves what it has no room for into the history. */
  get mayHaveEarlier(): boolean {
    if (this.#messages.length >= FULL_FROM_MESSAGES) return true;
    return this.#messages.reduce((length, { text }) => length + text.length, 0) >= FULL_FROM_LENGTH;
  }

  has(id: string): boolean {
    return this.#messages.some((message) => message.id === id);
  }

  keyOf(message: ChatMessage): string {
    return this.#keys.get(message.id) ?? message.id;
  }

  /**
   * Takes over the state's messages, behind those that we know from before them.
   *
   * Where so much was said while we were away that the state does not reach back to what we know, or where the
   * conversation began anew, what we know is forgotten: between the two is a gap, and only the history has all in order.
   *
   * @returns whether it was, so that the history has to be read from its newest message again.
   */
  applyState(newest: readonly ChatMessage[]): boolean {
    this.#confirmDrafts(newest);
    const older = this.#before(newest);
    const forgets = older === null && this.#messages.length > 0;
    this.#messages = [...(older ?? []), ...newest];
    this.#loaded = true;
    this.#wasAway = false;
    this.#setDelivery("in doubt", "failed");
    return forgets;
  }

  applyAdded(message: ChatMessage): void {
    if (this.has(message.id)) return;
    this.#confirmDrafts([message]);
    this.#messages = [...this.#messages, message];
  }

  /** Puts a page of history, oldest first, before everything known, whose oldest message it ends at. */
  prepend(older: readonly ChatMessage[]): void {
    this.#messages = [...older.filter(({ id }) => !this.has(id)), ...this.#messages];
  }

  draft(text: string, delivery: "waiting" | "sent"): void {
    this.#draftsMade += 1;
    this.#drafts.push({ key: `draft-${this.#draftsMade}`, text, typedAt: Date.now(), delivery });
  }

  /** Takes a failed draft back out, to be sent again. */
  takeDraft(key: string): Draft | undefined {
    const draft = this.#drafts.find((candidate) => candidate.key === key);
    this.#drafts = this.#drafts.filter((candidate) => candidate !== draft);
    return draft;
  }

  /** The socket opened: the client has just flushed what was waiting. */
  connected(): void {
    this.#setDelivery("waiting", "sent");
  }

  disconnected(): void {
    this.#wasAway = true;
    this.#setDelivery("sent", "in doubt");
  }

  /** The server rejected a frame. It answers in order, so it is the oldest one without an answer. */
  rejected(): void {
    const oldest = this.#drafts.find(({ delivery }) => delivery === "sent");
    this.#drafts = this.#drafts.map((draft) => (draft === oldest ? { ...draft, delivery: "failed" } : draft));
  }

  /** Those of our messages that come before these, which are the newest; `null` if there is a gap between the two. */
  #before(newest: readonly ChatMessage[]): readonly ChatMessage[] | null {
    const places = new Map(this.#messages.map(({ id }, place) => [id, place]));
    for (const { id } of newest) {
      const place = places.get(id);
      if (place !== undefined) return this.#messages.slice(0, place);
    }
    // While we are here we hear of every message, however few of them are in the state.
    return this.#wasAway || newest.length === 0 ? null : this.#messages;
  }

  #confirmDrafts(messages: readonly ChatMessage[]): void {
    for (const message of messages) {
      if (message.sender !== this.#me || this.has(message.id)) continue;
      const draft = this.#drafts.find(({ text, delivery }) => text === message.text && delivery !== "failed");
      if (draft === undefined) continue;
      this.#keys.set(message.id, draft.key);
      this.#drafts = this.#drafts.filter((candidate) => candidate !== draft);
    }
  }

  #setDelivery(from: Delivery, to: Delivery): void {
    this.#drafts = this.#drafts.map((draft) => (draft.delivery === from ? { ...draft, delivery: to } : draft));
  }
}
