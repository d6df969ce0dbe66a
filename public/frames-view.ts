/** The inspector: every recorded frame as one line, its JSON on demand. */

import { byId, element, setText } from "./dom";
import { CHANNELS, type Channel, type Direction, type Frame, type FrameLog, MAX_FRAMES } from "./frames";
import { prettyJson } from "./json-view";
import { preciseClock } from "./time";

/** Where the inspector covers the conversation instead of standing beside it; the same width as in `style.css`. */
const COVERING = matchMedia("(max-width: 63.99rem)");

const ARROWS: Record<Direction, string> = { in: "↓", out: "↑", event: "•" };
const DIRECTION_NAMES: Record<Direction, string> = { in: "received", out: "sent", event: "socket" };

export class FramesView {
  #log: FrameLog;
  #panel = byId("frames", HTMLElement);
  #chat = byId("chat", HTMLElement);
  #toggle = byId("frames-toggle", HTMLButtonElement);
  #close = byId("frames-close", HTMLButtonElement);
  #count = byId("frames-count", HTMLElement);
  #scroller = byId("frames-scroller", HTMLElement);
  #empty = byId("frames-empty", HTMLElement);
  #list = byId("frames-list", HTMLOListElement);
  #rows = new Map<Frame, HTMLElement>();
  #filter: Channel | "all" = "all";

  constructor(log: FrameLog) {
    this.#log = log;
    log.onAppend = (added, dropped) => this.#append(added, dropped);

    this.#toggle.addEventListener("click", () => (this.#panel.hidden ? this.#open() : this.#dismiss()));
    this.#close.addEventListener("click", () => this.#dismiss());
    this.#panel.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#dismiss();
    });
    COVERING.addEventListener("change", () => this.#cover());

    byId("frames-clear", HTMLButtonElement).addEventListener("click", () => {
      log.clear();
      this.#renderAll();
    });
    byId("frames-filter", HTMLFieldSetElement).addEventListener("change", (event) => {
      if (!(event.target instanceof HTMLInputElement)) return;
      const chosen = event.target.value;
      this.#filter = CHANNELS.find((channel) => channel === chosen) ?? "all";
      this.#renderAll();
    });
  }

  close(): void {
    this.#panel.hidden = true;
    this.#toggle.ariaExpanded = "false";
    this.#cover();
    // A closed panel costs nothing while frames come in; opening it draws them all.
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  #open(): void {
    this.#panel.hidden = false;
    this.#toggle.ariaExpanded = "true";
    this.#cover();
    this.#renderAll();
    if (COVERING.matches) this.#close.focus();
  }

  #dismiss(): void {
    this.close();
    this.#toggle.focus();
  }

  /** What lies under the panel is out of reach, for the keyboard and for screen readers too. */
  #cover(): void {
    this.#chat.inert = COVERING.matches && !this.#panel.hidden;
  }

  #renderAll(): void {
    this.#rows.clear();
    this.#list.replaceChildren(...this.#log.frames.filter((frame) => this.#shows(frame)).map((frame) => this.#row(frame)));
    this.#renderCount();
    this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #append(added: Frame, dropped: Frame | undefined): void {
    if (this.#panel.hidden) return;
    const { scrollHeight, scrollTop, clientHeight } = this.#scroller;
    const following = scrollHeight - scrollTop - clientHeight < 40;
    if (dropped !== undefined) {
      this.#rows.get(dropped)?.remove();
      this.#rows.delete(dropped);
    }
    if (this.#shows(added)) this.#list.append(this.#row(added));
    this.#renderCount();
    if (following) this.#scroller.scrollTop = this.#scroller.scrollHeight;
  }

  #shows(frame: Frame): boolean {
    return this.#filter === "all" || frame.channel === this.#filter;
  }

  #renderCount(): void {
    const { seen } = this.#log;
    setText(this.#count, seen > MAX_FRAMES ? `last ${MAX_FRAMES} of ${seen}` : String(seen));
    this.#empty.hidden = this.#list.childElementCount > 0;
  }

  #row(frame: Frame): HTMLElement {
    const row = element("li", "frame", frame.direction === "event" ? eventLine(frame) : frameDetails(frame));
    row.dataset.direction = frame.direction;
    this.#rows.set(frame, row);
    return row;
  }
}

function frameDetails(frame: Frame): HTMLElement {
  const details = element("details", "", element("summary", "frame-line", ...columns(frame, size(frame.sizeBytes))));
  details.addEventListener("toggle", () => {
    // Laid out when first opened: most frames never are.
    if (details.childElementCount === 1) details.append(prettyJson(frame.text));
    if (details.open) details.scrollIntoView({ block: "nearest" });
  });
  return details;
}

function eventLine(frame: Frame): HTMLElement {
  const line = element("div", "frame-line", ...columns(frame, ""));
  line.title = frame.text;
  return line;
}

function columns(frame: Frame, lastColumn: string): HTMLElement[] {
  const arrow = element("span", "frame-arrow", ARROWS[frame.direction]);
  arrow.ariaHidden = "true";
  return [
    arrow,
    element("span", "visually-hidden", DIRECTION_NAMES[frame.direction]),
    element("span", "frame-time", preciseClock(frame.at)),
    element("span", "frame-channel", frame.channel),
    element("span", "frame-type", frame.type === "text" ? frame.text : frame.type),
    element("span", "frame-size", lastColumn),
  ];
}

function size(bytes: number): string {
  return bytes < 1000 ? `${bytes} B` : `${(bytes / 1000).toFixed(1)} kB`;
}
