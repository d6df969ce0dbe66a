import { Reader } from "./wasm-names.mjs";

/** Opcodes of the instructions that somebody asks for by name. */
export const OP = {
  unreachable: 0x00,
  block: 0x02,
  loop: 0x03,
  if: 0x04,
  try: 0x06,
  catch: 0x07,
  throw: 0x08,
  rethrow: 0x09,
  end: 0x0b,
  br: 0x0c,
  br_if: 0x0d,
  br_table: 0x0e,
  return: 0x0f,
  call: 0x10,
  call_indirect: 0x11,
  delegate: 0x18,
  catch_all: 0x19,
  local_get: 0x20,
  global_set: 0x24,
};

const nothing = () => [];
const numbers = (count) => (read) => Array.from({ length: count }, () => read.number());
const indices = (read) => Array.from({ length: read.number() + 1 }, () => read.number());
/** Numbers with a sign and types, which nobody asks for. */
const signed = (read) => {
  while (read.byte() & 0x80);
  return [];
};
const skipped = (count) => (read) => {
  read.at += count;
  return [];
};
const types = (read) => Array.from({ length: read.number() }, () => signed(read)).flat();

/** How many operands there are behind each number that can follow 0xfc: memory and tables as a whole. Conversions have none. */
const BULK = new Map([8, 9, 10, 11, 12, 13, 14, 15, 16, 17].map((number) => [number, [8, 10, 12, 14].includes(number) ? 2 : 1]));
const bulk = (read) => numbers(BULK.get(read.number()) ?? 0)(read);

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, place) => first + place);

/** How what follows an opcode is read: those of the MVP, of exceptions as `try` and `catch`, and of references. */
const OPERANDS = new Map(
  [
    [nothing, [OP.unreachable, 0x01, 0x05, OP.end, OP.return, OP.catch_all, 0x1a, 0x1b, 0xd1, ...range(0x45, 0xc4)]],
    [signed, [OP.block, OP.loop, OP.if, OP.try, 0x41, 0x42, 0xd0]],
    [numbers(1), [OP.catch, OP.throw, OP.rethrow, OP.br, OP.br_if, OP.call, OP.delegate, ...range(0x20, 0x26), 0xd2, 0x3f, 0x40]],
    [numbers(2), [OP.call_indirect, ...range(0x28, 0x3e)]],
    [indices, [OP.br_table]],
    [types, [0x1c]],
    [skipped(4), [0x43]],
    [skipped(8), [0x44]],
    [bulk, [0xfc]],
  ].flatMap(([read, opcodes]) => opcodes.map((opcode) => [opcode, read])),
);

/** The instructions of a function's body, `{ opcode, operands, start, end }`, or `undefined` if one is not known here. */
function instructions(body) {
  const read = new Reader(body, 0);
  for (let groups = read.number(); groups > 0; groups--) {
    read.number(); // how many locals
    signed(read); // of which type
  }
  const all = [];
  while (read.at < body.length) {
    const start = read.at;
    const opcode = read.byte();
    const operands = OPERANDS.get(opcode)?.(read);
    if (operands === undefined) return undefined;
    all.push({ opcode, operands, start, end: read.at });
  }
  return all;
}

/**
 * The code of a function as a tree, or `undefined` if something in it is not known here: instructions, of which those that begin a block
 * have its `body` too. A `try` also has `handlers`, `{ opcode, start, body }`, and `closing`, its `end` or `delegate`.
 */
export function codeOf(body) {
  const all = instructions(body);
  if (all === undefined) return undefined;
  let place = 0;
  const until = (...opcodes) => {
    const nodes = [];
    while (place < all.length && !opcodes.includes(all[place].opcode)) nodes.push(node());
    return nodes;
  };
  const node = () => {
    const first = all[place++];
    if (first.opcode === OP.try) {
      const body = until(OP.catch, OP.catch_all, OP.delegate, OP.end);
      const handlers = [];
      while ([OP.catch, OP.catch_all].includes(all[place].opcode)) {
        const { opcode, start } = all[place++];
        handlers.push({ opcode, start, body: until(OP.catch, OP.catch_all, OP.end) });
      }
      return { ...first, body, handlers, closing: all[place++] };
    }
    if (![OP.block, OP.loop, OP.if].includes(first.opcode)) return first;
    const inside = { ...first, body: until(OP.end) };
    place++;
    return inside;
  };
  // The function's own end is the last.
  return until(OP.end);
}
