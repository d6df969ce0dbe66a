/** Which room, and under which name: the room is in the address, so that it can be shared; the name stays here. */

export interface Place {
  readonly room: string;
  readonly name: string;
}

export const DEFAULT_ROOM = "lobby";
const MAX_ROOM_LENGTH = 64;
const MAX_NAME_LENGTH = 40;

/** Longest name that the agents take, in bytes: `MAX_USER_ID_BYTES` in src/chat.rs, `MAX_NAME_BYTES` in src/presence.rs. */
const MAX_NAME_BYTES = 128;

const NAME_KEY = "durable-agents.name";

/**
 * A room name as it can stand in a path: letters, digits and single hyphens.
 *
 * The server takes the segment as it is, undecoded; a slash would even become a sub-path. So "My Room" and "my-room"
 * must become the same segment here, or two people who mean the same room do not meet.
 */
export function roomFrom(input: string): string {
  const hyphenated = input.normalize("NFC").toLowerCase().replace(/[^\p{L}\p{M}\p{N}]+/gu, "-");
  return cut(hyphenated, MAX_ROOM_LENGTH).replace(/^-+|-+$/g, "");
}

/** A name as the agents take it: one line, and not too long. */
export function nameFrom(input: string): string {
  const line = input.normalize("NFC").replace(/[\s\p{Cc}]+/gu, " ").trim();
  return cut(line, MAX_NAME_LENGTH, MAX_NAME_BYTES).trim();
}

export function roomInAddress(): string {
  return roomFrom(new URLSearchParams(location.search).get("room") ?? "");
}

export function addressOf(room: string): string {
  const url = new URL(location.href);
  url.search = new URLSearchParams({ room }).toString();
  url.hash = "";
  return url.href;
}

/** The name last used in this room. */
export function nameIn(room: string): string {
  return nameFrom(stored(`${NAME_KEY}.${room}`));
}

/** The name last used in any room, as a suggestion. */
export function lastName(): string {
  return nameFrom(stored(NAME_KEY));
}

export function remember({ room, name }: Place): void {
  try {
    localStorage.setItem(NAME_KEY, name);
    localStorage.setItem(`${NAME_KEY}.${room}`, name);
  } catch {
    // Storage is off or full (private windows): the name is asked for again next time.
  }
}

/** By code points: half a surrogate pair cannot be put into a URL. */
function cut(text: string, length: number, bytes = Number.POSITIVE_INFINITY): string {
  const characters = [...text].slice(0, length);
  while (new TextEncoder().encode(characters.join("")).length > bytes) characters.pop();
  return characters.join("");
}

function stored(key: string): string {
  try {
    return localStorage.getItem(key) ?? "";
  } catch {
    return "";
  }
}
