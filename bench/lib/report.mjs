import { circumstances } from "./about.mjs";

export const table = (head, rows) =>
  [head, head.map((_, column) => (column ? "--:" : "---")), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");

/** A median, its quartiles in parentheses. */
export const spread = ({ median, low, high }, write = (number) => number.toFixed(2)) =>
  `${write(median)} (${write(low)}–${write(high)})`;

export const digits = (number) => (number >= 100 ? Math.round(number).toString() : number.toPrecision(3));
const kib = (bytes) => `${(bytes / 1024).toFixed(0)} KiB`;

/** The results of a run as Markdown. */
export function toMarkdown({ about, servers, scenarios, footprint }) {
  const [baseline, ...others] = servers;
  const ours = servers.find(({ name }) => name === "durable-agents");
  const plain = servers.find(({ name }) => name === "plain");
  const pairs = [...others.map((server) => [server, baseline]), ...(ours && plain ? [[ours, plain]] : [])];

  return [
    "# Benchmark",
    "",
    `${circumstances(about)} npm \`agents\` ${about.agents}.`,
    "",
    "## Server CPU per operation, as a ratio",
    "",
    "Median of the ratios of all rounds, quartiles in parentheses; lower is better.",
    "",
    table(
      ["", ...pairs.map(([server, divisor]) => `${server.title} ÷ ${divisor.title}`)],
      scenarios.map(({ name, figures }) => [
        name,
        ...pairs.map(([server, divisor]) => spread(figures[server.name].ratio_to[divisor.name])),
      ]),
    ),
    "",
    "## Server CPU per operation, in µs",
    "",
    "Medians. An operation that reaches many sockets counts once.",
    "",
    table(
      ["", ...servers.map(({ title }) => title)],
      scenarios.map(({ name, figures }) => [name, ...servers.map((server) => digits(figures[server.name].cpu_us.median))]),
    ),
    "",
    "## Operations per second, and latency p50 / p99 in ms",
    "",
    "Client and server share a CPU, so these show that nothing waits where it should not; they are no capacity.",
    "",
    table(
      ["", ...servers.map(({ title }) => title)],
      scenarios.map(({ name, figures }) => [
        name,
        ...servers.map((server) => {
          const { operations_per_s, p50_us, p99_us } = figures[server.name];
          const ms = ({ median }) => (median / 1e3).toFixed(2);
          return `${digits(operations_per_s.median)}/s, ${ms(p50_us)} / ${ms(p99_us)}`;
        }),
      ]),
    ),
    "",
    ...(footprint.length > 0 ? ["## Start and memory", "", footprintTable(servers, pairs, footprint), ""] : []),
    "## Bundle",
    "",
    table(
      ["", ...servers.map(({ title }) => title)],
      [
        ["gzip", ...servers.map(({ size }) => kib(size.gzip_bytes))],
        ["as it is", ...servers.map(({ size }) => kib(size.bytes))],
      ],
    ),
    "",
  ].join("\n");
}

const UNITS = { ms: 1e6, KiB: 1024 };

/** A figure for each server, then the ratios, taken round by round. */
function footprintTable(servers, pairs, footprint) {
  return table(
    ["", ...servers.map(({ title }) => title), ...pairs.map(([server, divisor]) => `${server.title} ÷ ${divisor.title}`)],
    footprint.map(({ name, unit, figures }) => [
      `${name}, ${unit}`,
      ...servers.map((server) => digits(figures[server.name].figure.median / UNITS[unit])),
      ...pairs.map(([server, divisor]) => spread(figures[server.name].ratio_to[divisor.name])),
    ]),
  );
}
