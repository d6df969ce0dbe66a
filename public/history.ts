/** Reads the messages that no longer fit the agent's state, page by page over HTTP. */

import { type ChatMessage, decodeHistoryPage } from "./wire";

const PAGE_SIZE = 100;

export class History {
  #url: string;
  #cursor: string | null = null;
  #exhausted = false;

  constructor(room: string) {
    this.#url = `/agents/chat-agent/${encodeURIComponent(room)}/history`;
  }

  /** Whether the beginning of the conversation has been reached. */
  get exhausted(): boolean {
    return this.#exhausted;
  }

  /**
   * The next older messages, oldest first; empty when there are none.
   *
   * The history begins with what the state holds too, so pages with nothing new are read past.
   *
   * @throws when the server does not answer with a page; the place in the history is kept, so it can be tried again.
   */
  async older(isKnown: (id: string) => boolean): Promise<ChatMessage[]> {
    while (!this.#exhausted) {
      const query = new URLSearchParams({ limit: String(PAGE_SIZE) });
      if (this.#cursor !== null) query.set("before", this.#cursor);
      const response = await fetch(`${this.#url}?${query}`);
      if (!response.ok) throw new Error(`history answered ${response.status}`);
      const page = decodeHistoryPage(await response.json());
      if (page === null) throw new Error("history answered with something else than a page");

      this.#cursor = page.next;
      this.#exhausted = page.next === null;
      const unknown = page.messages.filter(({ id }) => !isKnown(id));
      if (unknown.length > 0) return unknown.reverse();
    }
    return [];
  }
}
