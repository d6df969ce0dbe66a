import { COLORS, escaped } from "./plot.mjs";

const [WIDTH, HEIGHT] = [430, 260];
const [LEFT, RIGHT, TOP, BOTTOM] = [60, 20, 40, 40];

/** One small plot for each curve, two in a row; both axes logarithmic, so that what grows with the work is a straight line. */
export function toCurves(curves, servers) {
  const rows = Math.ceil(curves.length / 2);
  const plots = curves.map((curve, index) =>
    plot(curve, servers, (index % 2) * WIDTH, Math.floor(index / 2) * HEIGHT + 30),
  );
  const legend = servers.map(
    ({ name, title }, index) =>
      `<rect x="${20 + index * 170}" y="10" width="10" height="10" fill="${COLORS[name] ?? "#888"}"/>` +
      `<text x="${35 + index * 170}" y="19">${escaped(title)}</text>`,
  );
  const [width, height] = [2 * WIDTH, rows * HEIGHT + 30];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...legend,
    ...plots,
    "</svg>",
    "",
  ].join("\n");
}

function plot({ name, axis, figures }, servers, left, top) {
  // An axis may begin at nothing, which has no logarithm.
  const along = axis.map((point) => Math.log10(Math.max(point, 10)));
  const medians = Object.values(figures).flatMap((points) => points.map(({ median }) => median));
  const [low, high] = [Math.floor(Math.log10(Math.min(...medians))), Math.ceil(Math.log10(Math.max(...medians)))];
  const x = (value) => left + LEFT + ((value - along[0]) / (along.at(-1) - along[0])) * (WIDTH - LEFT - RIGHT);
  const y = (us) => top + HEIGHT - BOTTOM - ((Math.log10(us) - low) / (high - low || 1)) * (HEIGHT - TOP - BOTTOM);
  const ticks = Array.from({ length: high - low + 1 }, (_, step) => 10 ** (low + step));
  return [
    `<text x="${left + 10}" y="${top + 20}" font-weight="bold">${escaped(name)}</text>`,
    ...ticks.map(
      (us) =>
        `<line x1="${left + LEFT}" x2="${left + WIDTH - RIGHT}" y1="${y(us)}" y2="${y(us)}" stroke="#ddd"/>` +
        `<text x="${left + LEFT - 6}" y="${y(us) + 4}" text-anchor="end">${us} µs</text>`,
    ),
    ...axis.map(
      (point, index) =>
        `<text x="${x(along[index]).toFixed(1)}" y="${top + HEIGHT - BOTTOM + 18}" text-anchor="middle">${point.toLocaleString("en")}</text>`,
    ),
    ...servers.filter(({ name }) => figures[name]).map(({ name }) => {
      const points = figures[name].map(({ median }, index) => `${x(along[index]).toFixed(1)},${y(median).toFixed(1)}`);
      return `<polyline points="${points.join(" ")}" fill="none" stroke="${COLORS[name] ?? "#888"}" stroke-width="2"/>`;
    }),
  ].join("\n");
}
