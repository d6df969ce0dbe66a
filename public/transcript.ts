/** Arranges a conversation for reading: days, and runs of messages by one person. */

import type { ChatLog, Delivery } from "./chat-log";
import { startOfDay } from "./time";

/** Messages by one person closer together than this share one name and one time. */
const RUN_GAP_MS = 5 * 60_000;

export interface MessageRow {
  readonly kind: "message";
  readonly key: string;
  readonly text: string;
  readonly sender: string;
  readonly at: number;
  readonly mine: boolean;
  /** `null` once the server has it. */
  readonly delivery: Delivery | null;
  /** First of a run: shows who and when. */
  readonly leads: boolean;
}

export type Row = { readonly kind: "day"; readonly key: string; readonly at: number } | MessageRow;

export function transcript(log: ChatLog, me: string): Row[] {
  const lines = [
    ...log.messages.map((message) => ({
      key: log.keyOf(message),
      text: message.text,
      sender: message.sender,
      at: message.timestamp,
      delivery: null,
    })),
    ...log.drafts.map(({ key, text, typedAt, delivery }) => ({ key, text, sender: me, at: typedAt, delivery })),
  ];

  const rows: Row[] = [];
  let day: number | undefined;
  let previous: MessageRow | undefined;
  for (const line of lines) {
    const lineDay = startOfDay(line.at);
    if (lineDay !== day) {
      rows.push({ kind: "day", key: `day-${lineDay}`, at: lineDay });
      day = lineDay;
      previous = undefined;
    }
    const continues = previous?.sender === line.sender && line.at - previous.at < RUN_GAP_MS;
    previous = { kind: "message", ...line, mine: line.sender === me, leads: !continues };
    rows.push(previous);
  }
  return rows;
}
