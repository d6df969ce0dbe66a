import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join, relative } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "../../scripts/lib/build.mjs";
import { esbuild } from "../../scripts/lib/packages.mjs";
import { inRoot } from "../../scripts/lib/paths.mjs";
import { run } from "../../scripts/lib/run.mjs";
import { buildWorker } from "../../scripts/lib/wasm.mjs";
import { oneAgent, shipped } from "../../scripts/lib/workers.mjs";

const inBench = (...parts) => inRoot("bench", ...parts);

/** The Rust agent under test: index.js and wasm in bench/agent/build. */
export const buildAgent = () => buildWorker(oneAgent);

/** Bundles a worker as `wrangler deploy` does by default: no minifying, names of classes kept. */
async function bundle(script, outDir, args = []) {
  mkdirSync(outDir, { recursive: true });
  await run(esbuild, [
    inBench(script),
    ...["--bundle", "--format=esm", "--target=es2024", "--keep-names", "--log-level=warning"],
    ...["--conditions=workerd,worker,browser", '--define:process.env.NODE_ENV="production"'],
    ...["--external:cloudflare:*", "--external:node:*", ...args],
    `--outfile=${join(outDir, "index.js")}`,
  ]);
}

// Some dependencies of the package are CommonJS and ask for Node's modules by `require`, which a module has not got.
const COMMON_JS = [
  ...builtinModules.map((name) => `--external:${name}`),
  '--banner:js=import { createRequire } from "node:module"; const require = createRequire("/");',
];

/** The servers that are compared. The first is what the others are divided by. */
export const SERVERS = [
  {
    name: "npm-agents",
    title: "npm `agents`",
    folder: inBench("build/npm-agents"),
    build: () => bundle("servers/npm-agents.js", inBench("build/npm-agents"), COMMON_JS),
  },
  {
    name: "plain",
    title: "plain JavaScript",
    folder: inBench("build/plain"),
    build: () => bundle("servers/plain.js", inBench("build/plain")),
  },
  {
    name: "minimal",
    title: "bare `worker` crate",
    folder: inBench("minimal/build"),
    build: () =>
      buildWorker({ name: "the bare object of the benchmark", crateDir: inBench("minimal"), outDir: inBench("minimal/build") }),
  },
  {
    name: "durable-agents",
    title: "Durable Agents",
    folder: inBench("agent/build"),
    build: buildAgent,
  },
];

const wranglerToml = () => readFileSync(shipped.config, "utf8");

/** The worker that is deployed, with all its agents and these variables: a server under a name of the caller's. */
export const shippedServer = (name, vars) => ({
  name,
  title: shipped.name,
  folder: shipped.outDir,
  build,
  classes: [...wranglerToml().matchAll(/^class_name = "(.+)"$/gm)].map(([, className]) => className),
  vars,
});

/** The modules of a built server, the entry point first. */
export function modulesOf(server) {
  const names = readdirSync(server.folder).filter((name) => /\.(js|wasm)$/.test(name));
  return names.sort((a, b) => (b === "index.js") - (a === "index.js"));
}

/** What is deployed: the sizes of the modules as they are, and compressed. */
export function sizeOf(server) {
  const modules = modulesOf(server).map((name) => readFileSync(join(server.folder, name)));
  const sum = (sizes) => sizes.reduce((total, size) => total + size, 0);
  return {
    bytes: sum(modules.map((module) => module.length)),
    gzip_bytes: sum(modules.map((module) => gzipSync(module, { level: 9 }).length)),
  };
}

/** The one with which the worker is deployed. */
export const compatibilityDate = () => /^compatibility_date = "(.+)"$/m.exec(wranglerToml())[1];

/** workerd has `cloudflare:email` and not what it imports; the npm package imports that to answer mails. */
const NO_EMAIL = "export default { EmailMessage: class {} };";

/**
 * workerd's configuration for a server: its classes, `BenchAgent` unless it says otherwise, with SQLite on disk in `folder`, and its
 * variables. Returns the path of the file.
 */
export function writeConfig(server, folder) {
  const { classes = ["BenchAgent"], vars = {} } = server;
  const text = JSON.stringify; // capnp's text is quoted like JSON's
  const bindings = [
    ...classes.map((name) => `(name = ${text(name)}, durableObjectNamespace = ${text(name)})`),
    ...Object.entries(vars).map(([name, value]) => `(name = ${text(name)}, text = ${text(value)})`),
  ];
  const namespaces = classes.map((name) => `(className = ${text(name)}, uniqueKey = ${text(name)}, enableSql = true)`);
  const modules = modulesOf(server).map((name) => {
    const kind = name.endsWith(".wasm") ? "wasm" : "esModule";
    // Relative, as capnp looks for an absolute path among its imports.
    return `(name = ${text(name)}, ${kind} = embed ${text(relative(folder, join(server.folder, name)))})`;
  });
  const dataDir = join(folder, "data");
  mkdirSync(dataDir, { recursive: true });
  const file = join(folder, "config.capnp");
  writeFileSync(
    file,
    `using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "disk", disk = (path = ${text(dataDir)}, writable = true)),
  ],
  sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
  extensions = [(modules = [(name = "cloudflare-internal:email", internal = true, esModule = ${text(NO_EMAIL)})])],
);

const main :Workerd.Worker = (
  modules = [${modules.join(", ")}],
  compatibilityDate = ${text(compatibilityDate())},
  bindings = [${bindings.join(", ")}],
  durableObjectNamespaces = [${namespaces.join(", ")}],
  durableObjectStorage = (localDisk = "disk"),
);
`,
  );
  return file;
}
