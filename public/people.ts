/** Who is in the room: open presence connections and chat participants, put together by name. */

import type { PresenceUser } from "./wire";

export interface Person {
  readonly name: string;
  readonly isMe: boolean;
  /** Open presence connections; 0 for somebody who is in the chat without a presence connection. */
  readonly connections: number;
  /** When the first of them opened. */
  readonly joinedAt: number | null;
}

/** Me first, then in order of arrival, then those known from the chat only. */
export function peopleIn(presence: readonly PresenceUser[], participants: readonly string[], me: string): Person[] {
  const byName = new Map<string, Person>();
  for (const { name, joinedAt } of presence) {
    const known = byName.get(name);
    byName.set(name, {
      name,
      isMe: name === me,
      connections: (known?.connections ?? 0) + 1,
      joinedAt: Math.min(known?.joinedAt ?? joinedAt, joinedAt),
    });
  }
  for (const name of participants) {
    if (!byName.has(name)) byName.set(name, { name, isMe: name === me, connections: 0, joinedAt: null });
  }
  const arrival = (person: Person) => person.joinedAt ?? Number.POSITIVE_INFINITY;
  return [...byName.values()].sort(
    (a, b) => Number(b.isMe) - Number(a.isMe) || Math.sign(arrival(a) - arrival(b)) || a.name.localeCompare(b.name),
  );
}

/** How long a change must last before it is announced: a reload is not worth "left" and "joined". */
const SETTLE_MS = 1_500;

/** Says who came and who went, in words, without repeating every flicker of a connection. */
export class Arrivals {
  #announce: (text: string) => void;
  #announced: ReadonlySet<string> | null = null;
  #settling: ReturnType<typeof setTimeout> | undefined;

  constructor(announce: (text: string) => void) {
    this.#announce = announce;
  }

  /** The first call sets the scene and announces nobody. */
  update(people: readonly Person[]): void {
    const present = new Set(people.filter(({ isMe }) => !isMe).map(({ name }) => name));
    clearTimeout(this.#settling);
    if (this.#announced === null) {
      this.#announced = present;
      return;
    }
    this.#settling = setTimeout(() => this.#settle(present), SETTLE_MS);
  }

  stop(): void {
    clearTimeout(this.#settling);
  }

  #settle(present: ReadonlySet<string>): void {
    const before = this.#announced ?? present;
    this.#announced = present;
    const joined = [...present].filter((name) => !before.has(name));
    const left = [...before].filter((name) => !present.has(name));
    const sentences = [
      ...(joined.length > 0 ? [`${listed(joined)} joined`] : []),
      ...(left.length > 0 ? [`${listed(left)} left`] : []),
    ];
    if (sentences.length > 0) this.#announce(sentences.join(" · "));
  }
}

const list = new Intl.ListFormat("en");

function listed(names: readonly string[]): string {
  return list.format(names.length > 3 ? [...names.slice(0, 2), `${names.length - 2} others`] : names);
}
