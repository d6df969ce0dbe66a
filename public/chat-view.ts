/** The conversation and the field to take part in it. */

import { avatar } from "./avatar";
import type { Delivery } from "./chat-log";
import { byId, element, setChildren, setText } from "./dom";
import type { HistoryStatus, Room } from "./room";
import { dayText, timeElement } from "./time";
import { type MessageRow, type Row, transcript } from "./transcript";
import { excessBytes } from "./wire";

/** Within this distance of the end, a reader is taken to follow the conversation. */
const FOLLOW_DISTANCE_PX = 80;

const DELIVERY_TEXT: Record<Delivery, string> = {
  waiting: "Waiting for the connection",
  sent: "Sending",
  "in doubt": "Checking whether it arrived",
  failed: "Not delivered.",
};

const EARLIER_TEXT: Record<HistoryStatus, string> = {
  ready: "",
  loading: "Looking further back…",
  failed: "The earlier messages could not be read.",
  exhausted: "This is where the room begins.",
};

export interface ChatActions {
  send(text: string): void;
  /** Says why something was not sent. */
  refuse(why: string): void;
  sendAgain(key: string): void;
  loadEarlier(): void;
}

interface MessageNode {
  readonly node: HTMLElement;
  readonly byline: HTMLElement;
  readonly delivery: HTMLElement;
  at: number;
  deliveryShown: Delivery | null;
}

export class ChatView {
  #scroller = byId("scroller", HTMLElement);
  #messages = byId("messages", HTMLOListElement);
  #earlier = byId("earlier", HTMLElement);
  #earlierLoad = byId("earlier-load", HTMLButtonElement);
  #earlierText = byId("earlier-text", HTMLElement);
  #empty = byId("empty", HTMLElement);
  #emptyTitle = byId("empty-title", HTMLElement);
  #emptyText = byId("empty-text", HTMLElement);
  #jump = byId("jump", HTMLButtonElement);
  #composer = byId("composer", HTMLFormElement);
  #text = byId("composer-text", HTMLTextAreaElement);

  #actions: ChatActions;
  #messageNodes = new Map<string, MessageNode>();
  #dayNodes = new Map<string, HTMLElement>();
  #introduced = false;
  #following = true;
  #lastKey: string | undefined;

  constructor(actions: ChatActions) {
    this.#actions = actions;

    this.#scroller.addEventListener("scroll", () => this.#noteScroll(), { passive: true });
    // The keyboard of a phone, a longer draft, the inspector: all of them change the height under a reader's feet.
    new ResizeObserver(() => this.#keepUp()).observe(this.#scroller);
    this.#jump.addEventListener("click", () => this.#toEnd());
    this.#earlierLoad.addEventListener("click", () => this.#actions.loadEarlier());

    this.#composer.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("keydown", (event) => {
      // While an input method composes, Enter chooses a candidate.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener("input", () => this.#fitText());
  }

  render(room: Room): void {
    const rows = transcript(room.chatLog, room.place.name);
    const refused = room.statusOf("chat").phase === "refused";
    // Earlier messages may come in above: what is being read must stay where it is.
    const anchor = this.#messages.querySelector<HTMLElement>(".message");
    const anchorTop = anchor?.offsetTop ?? 0;

    // Only what arrives after the first state is news; a screen reader should not recite the whole room.
    this.#messages.ariaBusy = String(!this.#introduced || room.historyStatus === "loading");
    setChildren(this.#messages, this.#nodesOf(rows));
    this.#introduced = room.chatLog.loaded;

    this.#renderEarlier(room);
    this.#renderEmpty(room, rows.length === 0);
    this.#text.disabled = refused;
    this.#text.placeholder = refused ? "The room is closed to you" : `Message #${room.place.room}`;

    const last = rows.at(-1);
    const arrived = last !== undefined && last.key !== this.#lastKey;
    this.#lastKey = last?.key;
    if (this.#following || (arrived && last.kind === "message" && last.mine)) {
      this.#toEnd();
      return;
    }
    if (anchor?.isConnected) this.#scroller.scrollTop += anchor.offsetTop - anchorTop;
    if (arrived && last.kind === "message") {
      setText(this.#jump, `New from ${last.sender}`);
      this.#jump.hidden = false;
    }
  }

  /** Forgets what is shown, for another room. */
  clear(): void {
    this.#messageNodes.clear();
    this.#dayNodes.clear();
    this.#messages.replaceChildren();
    this.#text.value = "";
    this.#fitText();
    this.#introduced = false;
    this.#following = true;
    this.#lastKey = undefined;
    this.#jump.hidden = true;
  }

  focus(): void {
    this.#text.focus();
  }

  #submit(): void {
    const text = this.#text.value.trim();
    const excess = excessBytes(text);
    if (excess > 0) {
      const bytes = excess === 1 ? "1 byte" : `${excess.toLocaleString()} bytes`;
      this.#actions.refuse(`That is ${bytes} too long for one message. Shorten it, or send it in parts.`);
    } else if (text !== "") {
      this.#text.value = "";
      this.#fitText();
      this.#actions.send(text);
    }
    // On a phone, touching the button would otherwise close the keyboard.
    this.#text.focus();
  }

  /** Grows with what is typed, up to the limit in the style sheet. */
  #fitText(): void {
    this.#text.style.height = "";
    if (this.#text.value !== "") this.#text.style.height = `${this.#text.scrollHeight}px`;
  }

  #nodesOf(rows: readonly Row[]): HTMLElement[] {
    const keys = new Set(rows.map(({ key }) => key));
    for (const nodes of [this.#messageNodes, this.#dayNodes]) {
      for (const key of nodes.keys()) {
        if (!keys.has(key)) nodes.delete(key);
      }
    }
    return rows.map((row) => (row.kind === "day" ? this.#dayNode(row.key, row.at) : this.#messageNode(row)));
  }

  #dayNode(key: string, at: number): HTMLElement {
    const node = this.#dayNodes.get(key) ?? element("li", "day");
    this.#dayNodes.set(key, node);
    setText(node, dayText(at));
    return node;
  }

  #messageNode(row: MessageRow): HTMLElement {
    let message = this.#messageNodes.get(row.key);
    if (message === undefined) {
      message = newMessageNode(row);
      this.#messageNodes.set(row.key, message);
    }
    message.node.classList.toggle("leads", row.leads);
    if (message.at !== row.at) {
      message.at = row.at;
      message.byline.lastElementChild?.replaceWith(timeElement(row.at));
    }
    if (message.deliveryShown !== row.delivery) {
      message.deliveryShown = row.delivery;
      this.#showDelivery(message, row);
    }
    return message.node;
  }

  #showDelivery({ node, delivery }: MessageNode, row: MessageRow): void {
    if (row.delivery === null) {
      delete node.dataset.delivery;
      delivery.replaceChildren();
      return;
    }
    node.dataset.delivery = row.delivery;
    delivery.replaceChildren(DELIVERY_TEXT[row.delivery]);
    if (row.delivery !== "failed") return;
    const again = element("button", "link", "Send again");
    again.type = "button";
    again.addEventListener("click", () => this.#actions.sendAgain(row.key));
    delivery.append(" ", again);
  }

  #renderEarlier(room: Room): void {
    const { historyStatus } = room;
    this.#earlier.hidden = !room.chatLog.mayHaveEarlier;
    this.#earlierLoad.hidden = historyStatus === "loading" || historyStatus === "exhausted";
    setText(this.#earlierLoad, historyStatus === "failed" ? "Try again" : "Show earlier messages");
    setText(this.#earlierText, EARLIER_TEXT[historyStatus]);
  }

  #renderEmpty(room: Room, isEmpty: boolean): void {
    const { loaded } = room.chatLog;
    const { phase } = room.statusOf("chat");
    this.#empty.hidden = !isEmpty;
    this.#empty.dataset.kind = loaded ? "silent" : phase;
    if (loaded) {
      setText(this.#emptyTitle, "Nobody has said anything yet");
      setText(this.#emptyText, "Start the conversation. Whoever comes later will find it here.");
    } else if (phase === "refused") {
      setText(this.#emptyTitle, "No entry");
      setText(this.#emptyText, "The agent of this room turned the connection down.");
    } else if (phase === "reconnecting") {
      setText(this.#emptyTitle, "The room does not answer");
      setText(this.#emptyText, "You will be let in as soon as it does.");
    } else {
      setText(this.#emptyTitle, "Opening the room…");
      setText(this.#emptyText, "");
    }
  }

  #noteScroll(): void {
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    this.#following = scrollHeight - scrollTop - clientHeight < FOLLOW_DISTANCE_PX;
    if (this.#following) this.#jump.hidden = true;
  }

  #keepUp(): void {
    if (this.#following) this.#toEnd();
  }

  #toEnd(): void {
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }
}

function newMessageNode(row: MessageRow): MessageNode {
  const sender = element("span", "sender", row.mine ? "You" : row.sender);
  const byline = element("p", "byline", sender, " ", timeElement(row.at));
  const delivery = element("p", "delivery");
  const bubble = element("p", "bubble", row.text);
  // Text of an unknown language may run the other way.
  bubble.dir = "auto";
  const body = element("div", "body", byline, bubble, delivery);
  const node = element("li", row.mine ? "message mine" : "message", ...(row.mine ? [] : [avatar(row.sender)]), body);
  return { node, byline, delivery, at: row.at, deliveryShown: null };
}
