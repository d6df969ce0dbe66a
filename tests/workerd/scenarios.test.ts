/**
 * The scenarios of tests/scenarios inside workerd. In memory they run by tests/fixtures/tests/scenarios.rs, which also
 * writes the transcripts: what both runs write down is the same, or one of the two is red.
 */
import { reset } from "cloudflare:test";
import { describe, expect, test, vi } from "vitest";
import { Peer, type Frame } from "../support/peer";
import { connect, evict, fetchWorker, PANICS } from "../support/workerd";

interface Scenario {
  title: string;
  agents: string[];
  /** Whether it only makes sense where panics unwind. */
  panics?: boolean;
  /** Whether the transcript shows what only memory knows, so that an eviction changes it. */
  showsMemory?: boolean;
  steps: Step[];
}

type Step =
  | { connect: string; id?: string; query?: string }
  | { send: string; text?: string; bytes?: number[]; json?: unknown }
  | { close: string; code?: number; reason?: string }
  | { evict: true }
  | { request: { method: string; query: string; text?: string; json?: unknown } };

const scenarios = import.meta.glob<Scenario>("../scenarios/*.json", { eager: true, import: "default" });
const transcripts = import.meta.glob<string>("../scenarios/*.txt", { eager: true, query: "?raw", import: "default" });

test("every scenario has a transcript and every transcript a scenario", () => {
  const names = (paths: object) => Object.keys(paths).map((path) => path.replace(/\.\w+$/, ""));
  expect(names(transcripts)).toEqual(names(scenarios));
  expect(names(scenarios).length).toBeGreaterThanOrEqual(10);
});

for (const [path, scenario] of Object.entries(scenarios)) {
  const name = /([^/]+)\.json$/.exec(path)?.[1] as string;
  const expected = transcripts[path.replace(/json$/, "txt")] ?? "";
  describe.skipIf(scenario.panics === true && !PANICS)(name, () => {
    test.for(scenario.agents)(`${scenario.title} (%s)`, async (agent) => {
      expect((await play(agent, name, scenario.steps, stepsOf(expected))).split("\n")).toEqual(expected.split("\n"));
    });

    // An agent that does not hibernate loses its sockets with its memory.
    const sleepers = scenario.agents.filter((agent) => agent !== "awake" && !scenario.showsMemory);
    test.for(sleepers)("the same with an eviction before every step (%s)", async (agent) => {
      await reset();
      const transcript = await play(agent, name, scenario.steps, stepsOf(expected), true);
      expect(transcript.split("\n")).toEqual(expected.split("\n"));
    });
  });
}

async function play(
  agent: string,
  name: string,
  steps: Step[],
  expected: string[][],
  evictAlways = false,
): Promise<string> {
  const address = `/agents/${agent}/${name}`;
  const peers = new Map<string, Peer>();
  const ended = new Set<Peer>();
  const lines: string[] = [];

  for (const [index, step] of steps.entries()) {
    lines.push(`${index + 1} ${titleOf(step)}`);
    let actor: Peer | undefined;
    // Nothing has woken it before the first step, nor after a step that was an eviction.
    if (evictAlways && index > 0 && !("evict" in (steps[index - 1] as Step))) await evict(agent, name);
    if ("connect" in step) {
      const query = step.query ? `&${step.query}` : "";
      actor = await connect(`${address}?_pk=${step.id ?? step.connect}${query}`);
      peers.set(step.connect, actor);
    } else if ("send" in step) {
      actor = existing(peers, step.send);
      actor.send(step.text ?? (step.bytes ? Uint8Array.from(step.bytes) : (step.json as object)));
    } else if ("close" in step) {
      actor = existing(peers, step.close);
      actor.close(step.code, step.reason);
    } else if ("request" in step) {
      const { method, query, json, text } = step.request;
      const body = json === undefined ? text : JSON.stringify(json);
      const ask = async () => `  ${await describeAnswer(await fetchWorker(`${address}?${query}`, { method, body }))}`;
      // A close hook may still be due; everything else has happened.
      const due = expected[index]?.[0];
      lines.push(query === "do=journal" ? await vi.waitUntil(async () => matching(await ask(), due)).catch(ask) : await ask());
    } else {
      // Nobody says a word, so that the next step meets the agent asleep.
      if (!evictAlways) await evict(agent, name);
      continue;
    }

    // Who acted first: once it has its answer, what the others are due is on its way.
    const order = [...peers].toSorted(([, a], [, b]) => Number(b === actor) - Number(a === actor));
    const heard = new Map<string, string[]>();
    for (const [who, peer] of order) {
      const frames = (await peer.settle()).map((frame) => `  ${who} < ${describeFrame(frame)}`);
      // A close hook that another's close handshake causes runs after its answer; what it sends is waited for.
      const due = expected[index]?.filter((line) => line.startsWith(`  ${who} < `)).length ?? 0;
      while (frames.length < due && peer.closing === undefined)
        frames.push(`  ${who} < ${describeFrame(await peer.next())}`);
      if (peer.closing && !ended.has(peer)) {
        ended.add(peer);
        const { code, reason, wasClean } = peer.closing;
        frames.push(`  ${who} closed: ${code} ${JSON.stringify(reason)} ${wasClean ? "clean" : "unclean"}`);
      }
      heard.set(who, frames);
    }
    for (const who of [...heard.keys()].toSorted()) lines.push(...(heard.get(who) ?? []));
  }
  return `${lines.join("\n")}\n`
    .replaceAll(`"agent":"${agent}"`, '"agent":"{agent}"')
    .replaceAll(`/agents/${agent}/`, "/agents/{agent}/");
}

const matching = (line: string, due: string | undefined) => (line === due ? line : undefined);

/** The lines of a transcript, step by step. */
const stepsOf = (transcript: string) =>
  transcript
    .split(/^\d+ .*\n/m)
    .slice(1)
    .map((lines) => lines.split("\n"));

function existing(peers: Map<string, Peer>, who: string): Peer {
  const peer = peers.get(who);
  if (!peer) throw new Error(`no client ${who}`);
  return peer;
}

function titleOf(step: Step): string {
  if ("connect" in step) return `connect ${step.connect}`;
  if ("send" in step) return `send ${step.send}`;
  if ("close" in step) return `close ${step.close}`;
  if ("request" in step) return `${step.request.method} ${step.request.query}`;
  return "evict";
}

const describeFrame = (frame: Frame) => (typeof frame === "string" ? short(frame) : `bytes [${frame.join(" ")}]`);

async function describeAnswer(response: Response): Promise<string> {
  return `${response.status} ${response.headers.get("content-type") ?? "no type"}: ${short(await response.text())}`;
}

/** Long texts by their beginning and length. */
function short(text: string): string {
  const characters = [...text];
  if (characters.length <= 2_000) return text;
  return `${characters.slice(0, 80).join("")}… (${characters.length} characters)`;
}
