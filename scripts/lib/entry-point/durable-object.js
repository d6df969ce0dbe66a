// Part of every entry point; see ../entry-point.mjs.
import * as wasm from "../index.js";

// Stacks of wasm are deep.
Error.stackTraceLimit = 100;

/** Answers of `__receive`, as in `object.rs` of the framework: handled; the rest is to be fetched. Otherwise the socket has to be shown. */
const DONE = 0;
const WAITS = 1;

/**
 * The class that the platform constructs for the class `Rust` of the wasm, which is exported as `name`. `own` and `take` are of the
 * framework's own JavaScript, if there is a framework.
 */
export function durableObject(Rust, name, own, take) {
  class Durable {
    #state;
    #env;

    // No private fields, which take the interpreter longer. Nobody but the platform has the object, and it looks for none of them.
    object;
    instanceId;
    receive;
    pointer;

    constructor(state, env) {
      this.#state = state;
      this.#env = env;
      here(this);
    }

    /** The object in the wasm instance that runs now. */
    static renew(durable) {
      const object = new Rust(durable.#state, durable.#env);
      durable.object = object;
      durable.receive = object.__receive;
      durable.pointer = object.__wbg_ptr;
      durable.instanceId = wasm.__wbg_instance_id;
    }
  }

  const { renew } = Durable;

  /** The object in the wasm instance that runs now, made anew if that is not the one of the event before. */
  function here(durable) {
    wasm.__wbg_call_guard(); // replaces an instance that has trapped
    if (durable.instanceId !== wasm.__wbg_instance_id) renew(durable);
    return durable.object;
  }

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
  if (own && "__receive" in Rust.prototype) {
    own(name);
    handlers.webSocketMessage = function (socket, message) {
      // As in `here`, without a call of it.
      wasm.__wbg_call_guard();
      if (this.instanceId !== wasm.__wbg_instance_id) renew(this);
      const taken = take(message);
      let answer;
      try {
        answer = this.receive(this.pointer, socket.__agentsKey, taken);
      } catch (error) {
        wasm.__wbg_handle_catch(error);
      }
      if (answer === DONE) return undefined;
      return answer === WAITS ? this.object.__rest() : this.object.webSocketMessage(socket, message);
    };
  }
  for (const [name, value] of Object.entries(handlers)) {
    Object.defineProperty(Durable.prototype, name, { value, configurable: true, writable: true });
  }
  return Durable;
}
