// Part of every entry point; see ../entry-point.mjs.
import * as wasm from "../index.js";

// Stacks of wasm are deep.
Error.stackTraceLimit = 100;

/** `instanceId` counts the wasm instances of this isolate. */
const isolate = wasm.__worker_init_state();

/** The class that the platform constructs for the class `Rust` of the wasm. */
export function durableObject(Rust) {
  class Durable {
    #state;
    #env;
    #object;
    #instanceId;

    constructor(state, env) {
      this.#state = state;
      this.#env = env;
      Durable.here(this);
    }

    /** The object in the wasm instance that runs now, made anew if that is not the one of the event before. */
    static here(durable) {
      wasm.__wbg_call_guard(); // replaces an instance that has trapped
      if (durable.#instanceId !== isolate.instanceId) {
        durable.#object = new Rust(durable.#state, durable.#env);
        durable.#instanceId = isolate.instanceId;
      }
      return durable.#object;
    }
  }

  const { here } = Durable;
  for (const [name, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(Rust.prototype))) {
    if (typeof method !== "function" || name === "constructor" || name === "free" || name.startsWith("__")) continue;
    const handler =
      method.length <= 4
        ? function (a, b, c, d) {
            return method.call(here(this), a, b, c, d);
          }
        : function (...args) {
            return method.apply(here(this), args);
          };
    Object.defineProperty(Durable.prototype, name, { value: handler, configurable: true, writable: true });
  }
  return Durable;
}
