import { expect, test } from "vitest";
import { sha256 } from "../../crates/durable-agents/src/workerd/steps.js";

const hex = async (body: unknown) =>
  [...new Uint8Array(await sha256(body))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// From FIPS 180-4's examples, and that of nothing.
const ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
const NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/** A stream of these pieces, and then of an error if there is one. */
const streamed = (pieces: string[], error?: Error) =>
  new ReadableStream({
    pull(controller) {
      const piece = pieces.shift();
      if (piece !== undefined) controller.enqueue(new TextEncoder().encode(piece));
      else if (error) controller.error(error);
      else controller.close();
    },
  });

test("a body has one digest, whether it is bytes or a stream of them", async () => {
  expect(await hex(null)).toBe(NOTHING);
  expect(await hex(new TextEncoder().encode("abc"))).toBe(ABC);
  expect(await hex(streamed(["a", "bc"]))).toBe(ABC);
  expect(await hex(streamed([]))).toBe(NOTHING);
});

test("a stream that fails has none, and says what failed", async () => {
  await expect(hex(streamed(["abc"], new Error("the sender went away")))).rejects.toThrow("the sender went away");
});
