/**
 * The application frames this page understands, and the checks that turn untyped JSON into them.
 *
 * Everything here arrives from the network, so a value of another shape becomes `null` and is left to the frame
 * inspector; it never throws. The names are spelled as on the wire.
 */

export interface ChatMessage {
  readonly id: string;
  readonly text: string;
  readonly sender: string;
  /** Milliseconds since 1970, by the server's clock. */
  readonly timestamp: number;
}

export interface ChatState {
  readonly messages: readonly ChatMessage[];
  readonly participants: readonly string[];
}

export interface PresenceUser {
  readonly name: string;
  readonly joinedAt: number;
}

export interface HistoryPage {
  /** Newest first. */
  readonly messages: readonly ChatMessage[];
  /** The `before` of the next page; `null` on the last one. */
  readonly next: string | null;
}

export type ChatFrame =
  | { readonly type: "welcome"; readonly participants: readonly string[] }
  | { readonly type: "message_added"; readonly message: ChatMessage }
  | { readonly type: "error"; readonly message: string };

export type PresenceFrame = { readonly type: "presence"; readonly users: readonly PresenceUser[] };

/** Longest frame that the chat takes, in bytes: `MAX_MESSAGE_BYTES` in src/chat.rs. */
export const MAX_CHAT_BYTES = 8 * 1_024;

export const PING = "ping";
export const PONG = "pong";

export function encodeChat(text: string): string {
  return JSON.stringify({ type: "chat", text });
}

/** By how many bytes a message is too long for the chat; 0 if it fits. */
export function excessBytes(text: string): number {
  return Math.max(0, new TextEncoder().encode(encodeChat(text)).length - MAX_CHAT_BYTES);
}

export function decodeChatState(value: unknown): ChatState | null {
  if (!isRecord(value) || !Array.isArray(value.messages) || !Array.isArray(value.participants)) return null;
  return {
    messages: value.messages.filter(isChatMessage),
    participants: value.participants.filter(isString),
  };
}

export function decodeChatFrame(text: string): ChatFrame | null {
  const frame = parseRecord(text);
  if (frame === null) return null;
  switch (frame.type) {
    case "welcome":
      return Array.isArray(frame.participants)
        ? { type: "welcome", participants: frame.participants.filter(isString) }
        : null;
    case "message_added":
      return isChatMessage(frame.message) ? { type: "message_added", message: frame.message } : null;
    case "error":
      return isString(frame.message) ? { type: "error", message: frame.message } : null;
    default:
      return null;
  }
}

export function decodePresenceFrame(text: string): PresenceFrame | null {
  const frame = parseRecord(text);
  if (frame === null || frame.type !== "presence" || !isRecord(frame.users)) return null;
  return { type: "presence", users: Object.values(frame.users).filter(isPresenceUser) };
}

export function decodeHistoryPage(value: unknown): HistoryPage | null {
  if (!isRecord(value) || !Array.isArray(value.messages)) return null;
  // The cursor is the server's business: it is sent back as it came, whatever its JSON type.
  const next = value.next === null || value.next === undefined ? null : String(value.next);
  return { messages: value.messages.filter(isChatMessage), next };
}

/** The JSON value in `text`, or `undefined` when it is not JSON. */
export function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseRecord(text: string): Record<string, unknown> | null {
  const value = parseJson(text);
  return isRecord(value) ? value : null;
}

function isString(value: unknown): value is string {
  return typeof value === "string";
}

function isChatMessage(value: unknown): value is ChatMessage {
  return (
    isRecord(value) &&
    isString(value.id) &&
    isString(value.text) &&
    isString(value.sender) &&
    typeof value.timestamp === "number"
  );
}

function isPresenceUser(value: unknown): value is PresenceUser {
  return isRecord(value) && isString(value.name) && typeof value.joinedAt === "number";
}
