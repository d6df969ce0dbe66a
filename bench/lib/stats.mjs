/** `{ median, low, high }` of some numbers: the quartiles, interpolated. */
export function quartiles(numbers) {
  const sorted = [...numbers].sort((a, b) => a - b);
  const at = (share) => {
    const position = share * (sorted.length - 1);
    const below = sorted[Math.floor(position)];
    return below + (sorted[Math.ceil(position)] - below) * (position % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}

/**
 * Quartiles of a figure of each server, and of its ratios to the other servers' in the same round:
 * `{ [server]: { figure, ratio_to: { [other]: … } } }`.
 */
export function compare(samples, servers) {
  const of = (server) => samples.filter((sample) => sample.server === server);
  const ratios = (server, divisor) =>
    of(server).map(({ round, value }) => value / of(divisor).find((other) => other.round === round).value);
  return Object.fromEntries(
    servers.map((server) => [
      server,
      {
        figure: quartiles(of(server).map(({ value }) => value)),
        ratio_to: Object.fromEntries(servers.map((other) => [other, quartiles(ratios(server, other))])),
      },
    ]),
  );
}

const cpuPerOperation = ({ server_cpu_ns, operations }) => server_cpu_ns / operations;

/**
 * What the slices say of each scenario: `[{ name, figures: { [server]: … } }]`.
 *
 * Ratios are taken round by round, between slices that ran one after the other, and only then summed up: what disturbs a
 * machine for seconds disturbs both sides of a ratio.
 */
export function summarize(slices, { scenarios, servers }) {
  const [baseline] = servers;
  return scenarios.map((scenario) => {
    const of = (server) => slices.filter((slice) => slice.scenario === scenario && slice.server === server);
    const over = (server, numbers) => quartiles(of(server).map(numbers));
    const ratio = (server, divisor) =>
      over(server, (slice) => {
        const other = of(divisor).find(({ round }) => round === slice.round);
        return cpuPerOperation(slice) / cpuPerOperation(other);
      });
    const figures = servers.map((server) => [
      server,
      {
        cpu_us: over(server, (slice) => cpuPerOperation(slice) / 1e3),
        ratio_to: Object.fromEntries(servers.filter((other) => other !== server).map((other) => [other, ratio(server, other)])),
        operations_per_s: over(server, (slice) => (slice.operations * 1e9) / slice.elapsed_ns),
        p50_us: over(server, ({ p50_ns }) => p50_ns / 1e3),
        p99_us: over(server, ({ p99_ns }) => p99_ns / 1e3),
      },
    ]);
    return { name: scenario, baseline, figures: Object.fromEntries(figures) };
  });
}
