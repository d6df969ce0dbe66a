/** Bytes in a row that count as something two functions have in common. */
const ROW_BYTES = 5;

/** How far back an order looks: less than the 32 KiB that compression looks back. */
const WINDOW_BYTES = 24_000;

/** Rows in more functions than that tell nothing about any two of them. */
const MAX_SHARERS = 400;

/** Keeps functions of a few rows from following anything that has one of them. */
const SMALLEST = 20;

/**
 * The names of functions, `{ name, body }`, in an order in which like follows like.
 *
 * Compression finds what it has seen not long ago. So the function that comes next is the one of whose rows of bytes the last ones
 * have the largest part, rare rows counting more.
 */
export function byLikeness(functions) {
  const { rows, sharers } = sharedRows(functions.map(({ body }) => body));
  const weight = (row) => 1 / Math.sqrt(sharers.get(row).length);
  const likeness = new Float64Array(functions.length);
  const change = (row, by) => sharers.get(row).forEach((index) => (likeness[index] += by * weight(row)));
  const inWindow = new Map();
  const window = [];
  let windowBytes = 0;

  const enter = (index) => {
    window.push(index);
    windowBytes += functions[index].body.length;
    for (const row of rows[index]) {
      const times = inWindow.get(row) ?? 0;
      inWindow.set(row, times + 1);
      if (times === 0) change(row, 1);
    }
  };
  const leave = () => {
    const index = window.shift();
    windowBytes -= functions[index].body.length;
    for (const row of rows[index]) {
      const times = inWindow.get(row) - 1;
      inWindow.set(row, times);
      if (times === 0) change(row, -1);
    }
  };

  const left = new Set(functions.keys());
  const order = [];
  for (let next = longest(functions); next !== undefined; ) {
    left.delete(next);
    order.push(functions[next].name);
    enter(next);
    while (windowBytes > WINDOW_BYTES && window.length > 1) leave();
    const fitness = (index) => likeness[index] / (rows[index].length + SMALLEST);
    next = undefined;
    for (const index of left) if (next === undefined || fitness(index) > fitness(next)) next = index;
  }
  return order;
}

/** The rows of each body that others have too, and for each row the bodies that have it. */
function sharedRows(bodies) {
  const sharers = new Map();
  const all = bodies.map((body, index) => {
    const rows = new Set();
    for (let at = 0; at + ROW_BYTES <= body.length; at++) rows.add(body.readUIntBE(at, ROW_BYTES));
    for (const row of rows) {
      const known = sharers.get(row);
      if (known) known.push(index);
      else sharers.set(row, [index]);
    }
    return rows;
  });
  const tells = (row) => sharers.get(row).length > 1 && sharers.get(row).length <= MAX_SHARERS;
  return { rows: all.map((rows) => [...rows].filter(tells)), sharers };
}

function longest(functions) {
  let found;
  functions.forEach(({ body }, index) => {
    if (found === undefined || body.length > functions[found].body.length) found = index;
  });
  return found;
}
