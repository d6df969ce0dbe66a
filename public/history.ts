/** Reads the messages that no longer fit the agent's state, page by page over HTTP. */

import { type ChatMessage, decodeHistoryPage } from "./wire";

const PAGE_SIZE = 100;

export class History {
  #url: string;
  #cursor: string | null = null;
  #reached = false;
  #exhausted = false;

  constructor(room: string) {
    this.#url = `/agents/chat-agent/${encodeURIComponent(room)}/history`;
  }

  /** Whether the beginning of the conversation has been reached. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /**
   * The messages before the oldest one known, oldest first, page by page; empty when there are none.
   *
   * The history begins with its newest message, so the first pages are read past: the state holds them too, or will, where
   * more has been said than we have been told of.
   *
   * @throws when the server does not answer with a page; the place in the history is kept, so it can be tried again.
   */
  async older(oldestKnown: string | undefined): Promise<ChatMessage[]> {
    while (!this.#exhausted) {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
      if (this.#cursor !== null) query.set("before", this.#cursor);
      const response = await fetch(`${this.#url}?${query}`);
      if (!response.ok) throw new Error(`history answered ${response.status}`);
      const page = decodeHistoryPage(await response.json());
      if (page === null) throw new Error("history answered with something else than a page");

      this.#cursor = page.next;
      this.#exhausted = page.next === null;
      const messages = this.#behind(oldestKnown, page.messages);
      if (messages.length > 0) return messages.reverse();
    }
    return [];
  }

  /** What is older than `oldestKnown` on a page; once that one has been reached, all of it. */
  #behind(oldestKnown: string | undefined, page: readonly ChatMessage[]): ChatMessage[] {
    if (this.#reached) return [...page];
    const place = page.findIndex(({ id }) => id === oldestKnown);
    this.#reached = oldestKnown === undefined || place >= 0;
    return this.#reached ? page.slice(place + 1) : [];
  }
}
