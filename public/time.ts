/** Times as people say them. */

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const REFRESH_MS = 20_000;

const minutesAgo = new Intl.RelativeTimeFormat("en", { style: "short" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const dayName = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const inFull = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

export function startOfDay(at: number): number {
  return new Date(at).setHours(0, 0, 0, 0);
}

/** "just now", "4 min. ago", then the clock time. A server clock ahead of ours reads as "just now". */
export function sinceText(at: number, now = Date.now()): string {
  const ageMs = now - at;
  if (ageMs < MINUTE_MS) return "just now";
  if (ageMs < HOUR_MS) return minutesAgo.format(-Math.floor(ageMs / MINUTE_MS), "minute");
  return clock.format(at);
}

/** "Today", "Yesterday", or the date. */
export function dayText(at: number, now = Date.now()): string {
  if (at === startOfDay(now)) return "Today";
  // Noon of the day before, because days with a clock change are not 24 hours long.
  if (at === startOfDay(startOfDay(now) - 12 * HOUR_MS)) return "Yesterday";
  return dayName.format(at);
}

/** "14:03:07.250", for the inspector. */
export function preciseClock(at: number): string {
  const date = new Date(at);
  const two = (part: number) => String(part).padStart(2, "0");
  const milliseconds = String(date.getMilliseconds()).padStart(3, "0");
  return `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${milliseconds}`;
}

/** A `<time>` that keeps up with the clock once `keepTimesFresh` runs. */
export function timeElement(at: number): HTMLTimeElement {
  const element = document.createElement("time");
  element.dateTime = new Date(at).toISOString();
  element.title = inFull.format(at);
  element.textContent = sinceText(at);
  return element;
}

export function keepTimesFresh(): void {
  setInterval(() => {
    for (const element of document.querySelectorAll("time")) {
      const text = sinceText(Date.parse(element.dateTime));
      // Writing the same text would still be a change inside the live region.
      if (element.textContent !== text) element.textContent = text;
    }
  }, REFRESH_MS);
}
