import { expect, test } from "vitest";
import { fresh } from "../support/peer";
import { fetchWorker } from "../support/workerd";

const MEBIBYTE = 1024 * 1024;

/** A form with a text and a file of so many bytes, without its length, and how much of it has been read. */
function chunked(fileBytes: number) {
  const encode = (text: string) => new TextEncoder().encode(text);
  const head = '--cut\r\ncontent-disposition: form-data; name="text"\r\n\r\nhello\r\n--cut\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\n';
  const state = { sent: 0, cancelled: false };
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(encode(head)),
    pull(controller) {
      if (state.sent < fileBytes) {
        const piece = new Uint8Array(Math.min(65_536, fileBytes - state.sent));
        state.sent += piece.length;
        controller.enqueue(piece);
      } else {
        controller.enqueue(encode("\r\n--cut--\r\n"));
        controller.close();
      }
    },
    cancel: () => void (state.cancelled = true),
  });
  const headers = { "content-type": "multipart/form-data; boundary=cut" };
  return { state, response: fetchWorker(`/agents/counter/${fresh()}?do=form`, { method: "POST", headers, body }) };
}

test("a form that does not say how long it is is read", async () => {
  const { response } = chunked(3 * MEBIBYTE + 1);
  expect(await (await response).json()).toEqual({ text: 5, file: 3 * MEBIBYTE + 1 });
});

test("a form that does not say how long it is is read up to the limit and no further", async () => {
  const { response, state } = chunked(96 * MEBIBYTE);
  expect([(await response).status, await (await response).text()]).toEqual([413, "body is larger than 33554432 bytes"]);
  await expect.poll(() => state.cancelled).toBe(true);
  expect(state.sent).toBeLessThan(40 * MEBIBYTE);
});

test("a form that says how long it is is read, or refused at once", async () => {
  const form = new FormData();
  form.set("text", "hello");
  form.set("file", new File([new Uint8Array(MEBIBYTE)], "a"));
  const post = (body: BodyInit) => fetchWorker(`/agents/counter/${fresh()}?do=form`, { method: "POST", body });
  expect(await (await post(form)).json()).toEqual({ text: 5, file: MEBIBYTE });
  form.set("file", new File([new Uint8Array(32 * MEBIBYTE)], "a"));
  expect((await post(form)).status).toBe(413);
});
