import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { hand_over, lend, own, prepare, take } from "../../crates/durable-agents/src/workerd/glue.js";

const URL = "https://example.com/agents/any/a";
const INTERNAL = ["x-agents-lifecycle-props", "x-agents-call", "x-partykit-room"];

lend(new WebAssembly.Memory({ initial: 1 }), 0, 1_024);
prepare(() => {});

/** Hands a request with that header over to the object `a` of a binding: the names of the objects that were asked. */
function handOver(binding: string, namespace: object, header?: string): string[] | undefined {
  const asked: string[] = [];
  const stub = (name: string) => ({ fetch: async () => asked.push(name) });
  const fake = { idFromName: (name: string) => ({ name, equals: () => false }), get: ({ name }: { name: string }) => stub(name), ...namespace };
  const request = new Request(URL, { headers: header === undefined ? {} : { [header]: "1" } });
  expect(take(URL)).toBe(URL.length);
  const promise = hand_over({ [binding]: fake }, binding, URL.length - 1, URL.length, request);
  return promise === undefined ? undefined : asked;
}

test("an object that need not be an agent of ours gets no header that only a router may set", () => {
  expect(handOver("Foreign", {})).toEqual(["a"]);
  for (const header of INTERNAL) expect([header, handOver("Foreign", {}, header)]).toEqual([header, undefined]);
});

test("an agent of ours hides all but the first of them by itself", () => {
  own("Starter");
  // Of the class that this worker exports, as its ids tell; the stub is ours.
  const { idFromName } = env.Starter as DurableObjectNamespace;
  const starter = { idFromName: (name: string) => idFromName.call(env.Starter, name) };
  expect(handOver("Starter", starter)).toEqual(["a"]);
  expect(handOver("Starter", starter, "x-agents-call")).toEqual(["a"]);
  expect(handOver("Starter", starter, "x-partykit-room")).toEqual(["a"]);
  expect(handOver("Starter", starter, "x-agents-lifecycle-props")).toBeUndefined();
});

test("a class of that name that is another's is no agent of ours", () => {
  own("Counter");
  expect(handOver("Named", {}, "x-partykit-room")).toBeUndefined();
});
