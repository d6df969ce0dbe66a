/** What is measured: `operation` as in load/src/plan.rs; `lanes` is how many of it are under way at any time. */
export const SCENARIOS = [
  { name: "echo 100 B", operation: { echo_text: { bytes: 100 } }, lanes: 16 },
  { name: "echo binary 1 KiB", operation: { echo_binary: { bytes: 1024 } }, lanes: 16 },
  { name: "RPC add", operation: "call", lanes: 16 },
  { name: "state to 1", operation: { set_state: { watchers: 1, text_bytes: 64 } }, lanes: 8 },
  { name: "state to 10", operation: { set_state: { watchers: 10, text_bytes: 64 } }, lanes: 4 },
  { name: "state to 100", operation: { set_state: { watchers: 100, text_bytes: 64 } }, lanes: 1 },
  { name: "state to 1000", operation: { set_state: { watchers: 1000, text_bytes: 64 } }, lanes: 1 },
  { name: "broadcast to 10", operation: { broadcast: { sockets: 10, bytes: 100 } }, lanes: 4 },
  { name: "broadcast to 1000", operation: { broadcast: { sockets: 1000, bytes: 100 } }, lanes: 1 },
  { name: "connect", operation: "connect", lanes: 8 },
  { name: "new instance", operation: "new_instance", lanes: 8 },
  { name: "HTTP GET", operation: "get", lanes: 16 },
];

/** What memory is weighed of: `what` as in load/src/plan.rs. */
export const WEIGHED = [
  { name: "memory of an instance with a socket", what: "instance" },
  { name: "memory of an idle connection", what: "connection" },
];

/**
 * How long; the fields of `load` are those of `Plan` in load/src/plan.rs, those of each `what` that is weighed are of `Weighing`. The rounds
 * are spread over `launches` of the servers.
 */
export const MODES = {
  full: {
    load: { rounds: 15, warm_up_rounds: 2, warm_up_ms: 250, measure_ms: 1000 },
    launches: 3,
    weighing: {
      rounds: 5,
      // So few that a slow machine takes less than ten seconds for them: an object that is idle for so long is put to sleep by workerd.
      instance: { warm_up: 250, count: 750 },
      // A process was seen to take some 4 MB once, at about the 250th: before or after it is for chance to say.
      connection: { warm_up: 500, count: 2500 },
    },
    starts: 15,
  },
  short: {
    load: { rounds: 3, warm_up_rounds: 1, warm_up_ms: 100, measure_ms: 250 },
    launches: 1,
    weighing: { rounds: 1, instance: { warm_up: 100, count: 300 }, connection: { warm_up: 500, count: 1000 } },
    starts: 5,
  },
};
