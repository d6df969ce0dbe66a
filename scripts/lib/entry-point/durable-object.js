// Part of every entry point; see ../entry-point.mjs.
import * as wasm from "../index.js";

// Stacks of wasm are deep.
Error.stackTraceLimit = 100;

/** `instanceId` counts the wasm instances of this isolate. */
const isolate = wasm.__worker_init_state();

/** Answers of `__receive`, as in `object.rs` of the framework: handled; the rest is to be fetched. Otherwise the socket has to be shown. */
const DONE = 0;
const WAITS = 1;

/**
 * The class that the platform constructs for the class `Rust` of the wasm, which is exported as `name`. `glue` is the framework's own
 * JavaScript, if there is a framework.
 */
export function durableObject(Rust, name, glue) {
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
  const handlers = {};
  for (const [name, { value: method }] of Object.entries(Object.getOwnPropertyDescriptors(Rust.prototype))) {
    if (typeof method !== "function" || name === "constructor" || name === "free" || name.startsWith("__")) continue;
    handlers[name] =
      method.length <= 4
        ? function (a, b, c, d) {
            return method.call(here(this), a, b, c, d);
          }
        : function (...args) {
            return method.apply(here(this), args);
          };
  }
  // Most messages need neither themselves nor their socket as a value in the wasm.
  if (glue && Rust.prototype.__receive) {
    const { own, take } = glue;
    own(name);
    handlers.webSocketMessage = function (socket, message) {
      const object = here(this);
      const answer = object.__receive(socket.__agentsKey, take(message));
      if (answer === DONE) return undefined;
      return answer === WAITS ? object.__rest() : object.webSocketMessage(socket, message);
    };
  }
  for (const [name, value] of Object.entries(handlers)) {
    Object.defineProperty(Durable.prototype, name, { value, configurable: true, writable: true });
  }
  return Durable;
}
