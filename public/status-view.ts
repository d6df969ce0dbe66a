/** How the connections are, in a word, and what to do about it when they are not well. */

import type { Status } from "./connection";
import { byId, setText } from "./dom";
import { CHANNELS } from "./frames";
import type { Room } from "./room";

const NOTICE_MS = 5_000;

const PHASE_TEXT: Record<Status["phase"], string> = {
  connecting: "Connecting",
  live: "Live",
  reconnecting: "Reconnecting",
  refused: "Refused",
};

export class StatusView {
  #status = byId("status", HTMLElement);
  #statusText = byId("status-text", HTMLElement);
  #banner = byId("banner", HTMLElement);
  #bannerText = byId("banner-text", HTMLElement);
  #bannerRetry = byId("banner-retry", HTMLButtonElement);
  #connectionTexts = {
    chat: byId("chat-status", HTMLElement),
    presence: byId("presence-status", HTMLElement),
  };

  constructor(onRetry: () => void) {
    this.#bannerRetry.addEventListener("click", onRetry);
  }

  render(room: Room): void {
    const chat = room.statusOf("chat");
    this.#status.dataset.phase = chat.phase;
    setText(this.#statusText, PHASE_TEXT[chat.phase]);

    for (const channel of CHANNELS) {
      const status = room.statusOf(channel);
      const text = this.#connectionTexts[channel];
      text.parentElement?.setAttribute("data-phase", status.phase);
      setText(text, describe(status, channel === "presence" ? room.roundTripMs : null));
    }

    const trouble = troubleIn(room);
    this.#banner.hidden = trouble === null;
    this.#banner.dataset.phase = trouble?.status.phase ?? "";
    this.#bannerRetry.hidden = trouble?.status.phase !== "refused";
    setText(this.#bannerText, trouble?.text ?? "");
  }
}

/** One line that comes and goes: somebody joined, the link is copied. */
export class NoticeView {
  #line = byId("notice", HTMLElement);
  #fading: ReturnType<typeof setTimeout> | undefined;

  say(text: string): void {
    // Set even if it is the same again: a second "Link copied" must be read out too.
    this.#line.textContent = text;
    this.#line.classList.add("shown");
    clearTimeout(this.#fading);
    // Only hidden, not emptied: the text must not vanish before the fade has ended.
    this.#fading = setTimeout(() => this.#line.classList.remove("shown"), NOTICE_MS);
  }

  clear(): void {
    clearTimeout(this.#fading);
    this.#line.classList.remove("shown");
  }
}

interface Trouble {
  readonly status: Status;
  readonly text: string;
}

function troubleIn(room: Room): Trouble | null {
  const chat = room.statusOf("chat");
  const presence = room.statusOf("presence");
  if (chat.phase === "refused") return { status: chat, text: `The room refused the connection: ${reasonOf(chat)}.` };
  if (chat.phase === "reconnecting" && room.chatLog.loaded) {
    return { status: chat, text: "The connection is gone. What you write is kept and sent as soon as it is back." };
  }
  if (presence.phase === "refused") {
    return { status: presence, text: `Who is here cannot be shown: ${reasonOf(presence)}.` };
  }
  return null;
}

function describe(status: Status, roundTripMs: number | null): string {
  switch (status.phase) {
    case "live":
      return roundTripMs === null ? "live" : `live · ${Math.max(1, Math.round(roundTripMs))} ms`;
    case "reconnecting":
      return `reconnecting, attempt ${status.attempt}`;
    case "refused":
      return `refused, ${reasonOf(status)}`;
    case "connecting":
      return "connecting";
  }
}

function reasonOf({ code, reason }: Extract<Status, { phase: "refused" }>): string {
  return reason === "" ? `code ${code}` : `${reason} (code ${code})`;
}
