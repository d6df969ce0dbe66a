import { expect, test } from "vitest";
import { call } from "../../support/conformance";
import { fresh, identity } from "../../support/peer";
import { connect, fetchWorker } from "../../support/workerd";

const answer = async (path: string, init?: RequestInit) => {
  const response = await fetchWorker(path, init);
  return [response.status, await response.text(), response.headers.get("access-control-allow-origin")];
};

test.for([
  ["/500", 500, "Internal Server Error"],
  ["/", 404, "Not found"],
  ["/500/more", 404, "Not found"],
  ["/users", 404, "Not found"],
  ["/agents/test-state-agent", 404, "Not found"],
  ["/agents/unknown/x", 400, "Invalid request"],
  ["/api/agents/test-state-agent", 404, "Not found"],
  ["/api/agents/unknown/x", 400, "Invalid request"],
  ["/custom-sub/", 400, "Bad custom-sub path"],
  ["/custom-sub/parent", 400, "Bad custom-sub path"],
  ["/custom-sub/parent/", 400, "Bad custom-sub path"],
  ["/custom-sub//rest", 400, "Bad custom-sub path"],
  ["/custom-sub/parent/sub/x/y", 404, "Not found"],
  ["/spike-sub/", 400, "Bad spike path"],
  ["/spike-sub/parent", 400, "Bad spike path"],
  ["/spike-sub/parent/sub/x/y", 404, "Not found"],
] as const)("%s answers %i %s, without CORS headers", async ([path, status, text]) => {
  expect(await answer(path)).toEqual([status, text, null]);
});

test("both prefixes reach the same agent, the standard one with CORS", async () => {
  const path = `agents/test-state-agent/${fresh()}/state`;
  const json = '{"state":{"count":0,"items":[],"lastUpdated":null}}';
  expect(await answer(`/${path}`)).toEqual([200, json, "*"]);
  expect(await answer(`/api/${path}`)).toEqual([200, json, null]);
  expect(await answer(`/${path}`, { method: "OPTIONS" })).toEqual([200, "", "*"]);
});

test("/custom-state hands the request on as it is; all that follows is the instance's name", async () => {
  const name = fresh();
  const peer = await connect(`/custom-state/${name}%20x?_pk=me`);
  expect(await peer.json()).toEqual(identity("test-state-agent", `${name}%20x`));
  expect(await answer(`/custom-state/${name}`)).toEqual([404, "Not found", null]);
  const echo = await answer(`/custom-state/${name}/echo`, { method: "PUT", body: "hello" });
  expect(echo).toEqual([200, '{"body":"hello","method":"PUT","path":"echo"}', null]);
});

test.for(["/user", "/user?token=x"])("%s is an instance of its own", async (path) => {
  const peer = await connect(path);
  expect(await peer.json()).toEqual(identity("test-state-agent", "auth-user"));
  expect(await answer(path)).toEqual([404, "Not found", null]);
});

test.for(["/agents/test-state-agent/", "/api/agents/test-state-agent/", "/custom-state/"])(
  "a streamed body and an upgrade pass below %s",
  async (prefix) => {
    const name = fresh();
    const pieces = ["one ", "two ", "three"];
    const body = new ReadableStream({
      pull(controller) {
        const piece = pieces.shift();
        if (piece === undefined) controller.close();
        else controller.enqueue(new TextEncoder().encode(piece));
      },
    });
    const [status, text] = await answer(`${prefix}${name}/echo`, { method: "POST", body });
    expect([status, text]).toEqual([200, '{"body":"one two three","method":"POST","path":"echo"}']);
    expect(await call(await connect(prefix + name), "getState")).toEqual({ count: 0, items: [], lastUpdated: null });
  },
);
