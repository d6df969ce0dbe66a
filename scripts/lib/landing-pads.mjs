import { OP, codeOf } from "./wasm-code.mjs";
import { definedFunctions, globalsNamed, withBodies } from "./wasm-names.mjs";

/**
 * Functions of Rust's own that the compiler takes for such as never unwind. To it they are no calls that need a landing pad; that what
 * calls nothing else needs none either it does not always see.
 */
const NEVER_UNWIND =
  /^(?:core|__rustc)(?:\[\w+\])?::(?:panicking::panic_(?:in_cleanup|cannot_unwind|nounwind\w*)|__rust_(?:alloc|alloc_zeroed|dealloc|realloc))$/;

/**
 * The module, which has names, with less code where a panic lands. What happens is the same.
 *
 * - What cannot unwind needs no landing pad. LLVM knows of some functions only after it has made pads around calls of them.
 * - A landing pad begins with restoring the stack pointer, for what it calls. Where all that it does is to drop something and to unwind on,
 *   that can be done deeper in the stack as well: whoever catches the panic restores it for good.
 */
export function withShortLandingPads(module) {
  const functions = definedFunctions(module).map((defined) => ({ ...defined, code: codeOf(defined.body) }));
  const quiet = quietOnes(functions);
  const [stackPointer] = globalsNamed(module, "__stack_pointer");
  const bodies = functions.map(({ body, code }) => edited(body, edits(code ?? [], quiet, stackPointer)));
  return withBodies(module, bodies);
}

/** Indices of the functions that nothing is thrown out of. */
function quietOnes(functions) {
  const known = functions.filter(({ name }) => NEVER_UNWIND.test(name ?? ""));
  // All, until one is seen to throw.
  const quiet = new Set(functions.map(({ index }) => index));
  const others = functions.filter((defined) => !known.includes(defined));
  for (let before = Infinity; before > quiet.size; ) {
    before = quiet.size;
    for (const { index, code } of others) if (code === undefined || throws(code, quiet)) quiet.delete(index);
  }
  return quiet;
}

/** Imports and what is called by its place in a table may throw anything. */
const throws = (nodes, quiet) =>
  nodes.some((node) => {
    switch (node.opcode) {
      case OP.call:
        return !quiet.has(node.operands[0]);
      case OP.call_indirect:
      case OP.throw:
      case OP.rethrow:
        return true;
      case OP.try:
        return throws(node.body, quiet) && !catchesAll(node, quiet);
      default:
        return node.body !== undefined && throws(node.body, quiet);
    }
  });

const catchesAll = ({ handlers }, quiet) =>
  handlers.some(({ opcode }) => opcode === OP.catch_all) && !handlers.some(({ body }) => throws(body, quiet));

/** What is to stand instead of parts of a body, `{ start, end, instead }`. */
const edits = (nodes, quiet, stackPointer) =>
  nodes.flatMap((node) => {
    if (node.body === undefined) return [];
    const inside = edits(node.body, quiet, stackPointer);
    if (node.opcode !== OP.try) return inside;
    if (!throws(node.body, quiet)) return [...inside, ...asBlock(node)];
    return [...inside, ...node.handlers.flatMap((handler) => [...restoring(handler, stackPointer), ...edits(handler.body, quiet, stackPointer)])];
  });

/** A `try` that catches nothing: a block, so that labels still count it. */
const asBlock = ({ start, handlers, closing }) => [
  { start, end: start + 1, instead: [OP.block] },
  { start: handlers[0]?.start ?? closing.start, end: closing.end, instead: [OP.end] },
];

/** That a handler begins with restoring the stack pointer, if it need not. One that does nothing else is there for just that. */
function restoring({ body }, stackPointer) {
  const [from, to] = body;
  const restores = from?.opcode === OP.local_get && to?.opcode === OP.global_set && to.operands[0] === stackPointer;
  const goesOn = [OP.rethrow, OP.unreachable].includes(body.at(-1)?.opcode) && !leaves(body, 0);
  return restores && goesOn && body.length > 3 ? [{ start: from.start, end: to.end, instead: [] }] : [];
}

/** Whether something jumps out of that many blocks and more. */
const leaves = (nodes, depth) =>
  nodes.some(({ opcode, operands, body, handlers = [] }) => {
    if (opcode === OP.return) return true;
    if ([OP.br, OP.br_if, OP.br_table].includes(opcode)) return operands.some((label) => label >= depth);
    return [body ?? [], ...handlers.map((handler) => handler.body)].some((inside) => leaves(inside, depth + 1));
  });

function edited(body, edits) {
  if (edits.length === 0) return body;
  const pieces = [];
  let at = 0;
  for (const { start, end, instead } of edits.sort((one, other) => one.start - other.start)) {
    pieces.push(body.subarray(at, start), Buffer.from(instead));
    at = end;
  }
  return Buffer.concat([...pieces, body.subarray(at)]);
}
