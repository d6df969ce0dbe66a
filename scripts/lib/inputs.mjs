import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { root } from "./paths.mjs";

/** Every file below `path` (or `path` itself), sorted; `skip(relativePath)` leaves out files and whole folders. */
export function filesBelow(path, skip = () => false) {
  if (!existsSync(path) || skip(relative(root, path))) return [];
  if (!statSync(path).isDirectory()) return [path];
  return readdirSync(path)
    .sort()
    .flatMap((name) => filesBelow(join(path, name), skip));
}

/** One hash for files, by name and content, and for any further facts that decide what is built from them. */
export function hashInputs(files, facts = {}) {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  for (const file of files) hash.update(`\0${relative(root, file)}\0`).update(readFileSync(file));
  return hash.digest("hex");
}

/**
 * A file next to a product that holds the hash of what it was made from.
 *
 * It is written last and lies where the product lies, so a build that was cut short, and a product that was
 * deleted, are both made anew.
 */
export class Stamp {
  constructor(file, hash, products) {
    Object.assign(this, { file, hash, products });
  }

  get isFresh() {
    return (
      this.products.every((product) => existsSync(product)) &&
      existsSync(this.file) &&
      readFileSync(this.file, "utf8") === this.hash
    );
  }

  write() {
    mkdirSync(dirname(this.file), { recursive: true });
    writeFileSync(this.file, this.hash);
  }
}
