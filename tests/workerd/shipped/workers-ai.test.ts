/** Workers AI, by a binding that behaves as the real one, which is remote. */
import { env } from "cloudflare:workers";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { fetchWorker } from "../../support/workerd";

type Data = Record<string, unknown>;

interface Run {
  model: string;
  inputs: { messages: { role: string; content: string }[]; stream: boolean };
  signal: AbortSignal;
  cancelled: boolean;
}

const encode = (text: string) => new TextEncoder().encode(text);
const event = (data: unknown) => encode(`data: ${JSON.stringify(data)}\n\n`);
const DONE = encode("data: [DONE]\n\n");

const runs: Run[] = [];
/** What the next run comes to: the bytes of its stream and whether it ends, or anything else. */
let outcome: { pieces: Uint8Array[]; ends?: boolean } | (() => unknown) = { pieces: [] };

const binding = {
  async run(model: string, inputs: Run["inputs"], { signal }: { signal: AbortSignal }): Promise<unknown> {
    const run: Run = { model, inputs, signal, cancelled: false };
    runs.push(run);
    if (typeof outcome === "function") return outcome();
    const { pieces, ends = true } = outcome;
    return new ReadableStream({
      pull(controller) {
        const piece = pieces.shift();
        if (piece) controller.enqueue(piece);
        else if (ends) controller.close();
        else return new Promise<void>(() => {});
      },
      cancel: () => void (run.cancelled = true),
    });
  },
};

const vars = { MODEL: "workers-ai", MODEL_NAME: "@cf/test/model", MODEL_TIMEOUT_S: "1", AI: binding };
beforeAll(() => void Object.assign(env, vars));
afterAll(() => Object.keys(vars).forEach((name) => delete (env as unknown as Data)[name]));
beforeEach(() => void (runs.length = 0));

const chat = () =>
  fetchWorker("/worlds/default-world/chat", { method: "POST", body: JSON.stringify({ message: "@helper hello" }) });

/** The last event but `done` of a chat whose run comes to that. */
async function last(comesTo: typeof outcome): Promise<[string, Data]> {
  outcome = comesTo;
  const events = (await (await chat()).text()).split("\n\n");
  const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(events.at(-3) as string) ?? [];
  return [name as string, JSON.parse(data as string) as Data];
}

test("it is asked for a stream of the whole conversation", async () => {
  await last({ pieces: [DONE] });
  const { model, inputs } = runs[0] as Run;
  expect([model, inputs.stream]).toEqual(["@cf/test/model", true]);
  expect(inputs.messages).toEqual([
    { role: "system", content: expect.stringContaining("You are Helper.") },
    { role: "user", content: "@helper hello" },
  ]);
});

test("its own events are understood, and those of newer models", async () => {
  const own = [event({ response: "is " }), event({ response: 42 }), event({ response: null, usage: {} }), DONE];
  expect(await last({ pieces: own })).toMatchObject(["complete", { content: "is 42" }]);
  const newer = [event({ choices: [{ delta: { content: "so" } }] }), event({ choices: [{ finish_reason: "stop" }] })];
  expect(await last({ pieces: newer })).toMatchObject(["complete", { content: "so" }]);
});

test("what goes wrong is an error", async () => {
  const fails = async (comesTo: typeof outcome, message: string) =>
    expect(await last(comesTo)).toMatchObject(["error", { code: "model_failed", message }]);
  await fails(() => Promise.reject(new Error("5007: No such model")), "The model could not be reached");
  await fails(() => ({ response: "all at once" }), "The model's answer could not be understood");
  await fails({ pieces: [event({ response: "half" })] }, "The model's answer broke off");
  await fails(() => new Promise(() => {}), "The model was silent for 1 s");
  expect(runs.at(-1)?.signal.aborted).toBe(true);
  await fails({ pieces: [event({ response: "half" })], ends: false }, "The model was silent for 1 s");
  expect(runs.at(-1)?.cancelled).toBe(true);
});

test("who stops reading stops the run", async () => {
  outcome = { pieces: [event({ response: "wait" })], ends: false };
  const reader = ((await chat()).body as ReadableStream<Uint8Array>).getReader();
  await reader.read();
  expect(runs[0]?.cancelled).toBe(false);
  const stopped = Date.now();
  await reader.cancel();
  await expect.poll(() => runs[0]?.cancelled).toBe(true);
  expect(Date.now() - stopped).toBeLessThan(800); // well before its silence would have ended it
});
