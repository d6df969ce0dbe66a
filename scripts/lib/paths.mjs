import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));

/** A path below the repository's root. */
export const inRoot = (...parts) => join(root, ...parts);

export const nodeModules = inRoot("node_modules");
export const tools = inRoot(".tools");
