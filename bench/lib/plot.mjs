const WIDTH = 900;
const LEFT = 170;
const ROW = 46;
const BAR = 10;
export const COLORS = { "npm-agents": "#9aa0a6", minimal: "#c58b5b", plain: "#5b8def", "durable-agents": "#1a7f5a" };

export const escaped = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll("`", "");

/** Server CPU per operation of all servers, divided by that of plain JavaScript (or else the first server), as bars. */
export function toSvg({ about, servers, scenarios }) {
  const divisor = servers.find(({ name }) => name === "plain") ?? servers[0];
  const ratioOf = (scenario, server) =>
    server === divisor
      ? { median: 1, low: 1, high: 1 }
      : scenario.figures[server.name].ratio_to[divisor.name];
  const most = Math.max(...scenarios.flatMap((scenario) => servers.map((server) => ratioOf(scenario, server).high)), 1.5);
  const x = (value) => LEFT + (value / most) * (WIDTH - LEFT - 60);
  const height = 70 + scenarios.length * (ROW + 6) + 30;

  const bars = scenarios.flatMap((scenario, row) => {
    const top = 60 + row * (ROW + 6);
    const label = `<text x="${LEFT - 10}" y="${top + ROW / 2}" text-anchor="end">${escaped(scenario.name)}</text>`;
    return [
      label,
      ...servers.map((server, index) => {
        const { median, low, high } = ratioOf(scenario, server);
        const y = top + index * (BAR + 1);
        const middle = y + BAR / 2;
        return (
          `<rect x="${LEFT}" y="${y}" width="${(x(median) - LEFT).toFixed(1)}" height="${BAR}" fill="${COLORS[server.name] ?? "#888"}"/>` +
          `<line x1="${x(low).toFixed(1)}" x2="${x(high).toFixed(1)}" y1="${middle}" y2="${middle}" stroke="#333"/>` +
          `<text x="${(x(high) + 5).toFixed(1)}" y="${y + BAR - 1}" font-size="10">${median.toFixed(2)}</text>`
        );
      }),
    ];
  });
  const legend = servers.map(
    ({ name, title }, index) =>
      `<rect x="${LEFT + index * 170}" y="34" width="10" height="10" fill="${COLORS[name] ?? "#888"}"/>` +
      `<text x="${LEFT + 15 + index * 170}" y="43">${escaped(title)}</text>`,
  );
  const one = x(1).toFixed(1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${height}" fill="#fff"/>`,
    `<text x="10" y="22" font-size="14">Server CPU per operation ÷ ${escaped(divisor.title)}; median and quartiles, lower is better</text>`,
    ...legend,
    `<line x1="${one}" x2="${one}" y1="52" y2="${height - 30}" stroke="#999" stroke-dasharray="3 3"/>`,
    ...bars,
    `<text x="10" y="${height - 10}" font-size="10">${escaped(`${about.date}, ${about.mode} mode, workerd ${about.workerd}, npm agents ${about.agents}, ${about.rust}`)}</text>`,
    "</svg>",
    "",
  ].join("\n");
}
