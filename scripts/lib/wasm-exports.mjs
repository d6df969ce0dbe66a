const EXPORT_SECTION = 7;

/** Names of what a wasm module exports. Read by hand, as a Node.js may not know every feature that workerd knows. */
export function exportNames(bytes) {
  let at = 8; // behind magic number and version
  const number = () => {
    for (let value = 0, shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const id = bytes[at++];
    const size = number();
    if (id !== EXPORT_SECTION) {
      at += size;
      continue;
    }
    return Array.from({ length: number() }, () => {
      const length = number();
      const name = bytes.toString("utf8", at, (at += length));
      at += 1; // its kind
      number(); // its index
      return name;
    });
  }
  return [];
}
