/** The sum of each event of a dump of callgrind over all threads: a map from its short name, `Ir` for instance. */
export function sumsOf(dump) {
  const events = /^events: (.+)$/m.exec(dump)[1].split(" ");
  const totals = [...dump.matchAll(/^totals: (.+)$/gm)].map(([, line]) => line.split(" ").map(Number));
  // What a thread has none of at the end of its line is left out.
  return new Map(events.map((event, place) => [event, totals.reduce((sum, total) => sum + (total[place] ?? 0), 0)]));
}
