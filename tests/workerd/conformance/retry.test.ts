import { expect, test } from "vitest";
import { Subject } from "../../support/conformance";

const upTo = (last: number) => Array.from({ length: last }, (_, n) => n + 1);

test.for([
  ["retrySucceedsOnAttempt", [1], { result: "ok-1", attempts: [1] }],
  ["retrySucceedsOnAttempt", [3], { result: "ok-3", attempts: [1, 2, 3] }],
  ["retryExhausted", [], { error: "always-fail-2" }],
  ["retryWithShouldRetry", [0, false], { result: "ok-1", attempts: [1], error: "" }],
  ["retryWithShouldRetry", [4, false], { result: "ok-5", attempts: upTo(5), error: "" }],
  ["retryWithShouldRetry", [10, false], { result: "", attempts: upTo(10), error: "transient-10" }],
  ["retryWithShouldRetry", [4, true], { result: "", attempts: [1], error: "permanent-1" }],
  ["retryWithAttemptAwareShouldRetry", [], { result: "ok-4", receivedAttempts: [2, 3, 4] }],
  ["retryWithFractionalAttempts", [], { error: "retry.maxAttempts must be an integer" }],
  ["enqueueAndGetRetryOptions", [{ maxAttempts: 5 }], { maxAttempts: 5 }],
  ["scheduleAndGetRetryOptions", [{ maxAttempts: 4, baseDelayMs: 20, maxDelayMs: 30 }],
    { maxAttempts: 4, baseDelayMs: 20, maxDelayMs: 30 }],
  ["enqueueMultipleAndGetRetryOptions", [], [
    { maxAttempts: 3, baseDelayMs: 100, maxDelayMs: 1000 },
    { maxAttempts: 7, baseDelayMs: 200, maxDelayMs: 5000 },
  ]],
  ["enqueueWithInvalidRetry", [], { error: "retry.maxAttempts must be >= 1" }],
  ["scheduleWithInvalidRetry", [], { error: "retry.maxAttempts must be >= 1" }],
  ["enqueueWithCrossFieldInvalidRetry", [], { error: "retry.baseDelayMs must be <= retry.maxDelayMs" }],
] as const)("TestRetryAgent: %s(%j) answers %j, also after an eviction", async ([method, args, answer]) => {
  const agent = await Subject.of("TestRetryAgent");
  expect(await agent.call(method, ...args)).toEqual(answer);
  expect(await agent.callAfresh(method, ...args)).toEqual(answer);
});

test("TestRetryAgent: the last failure of a job that outlasts the default attempts", async () => {
  const agent = await Subject.of("TestRetryAgent");
  await expect(agent.call("retrySucceedsOnAttempt", 4)).rejects.toThrow(/^transient-3$/);
});

test.for([
  ["retryUsingDefaults", { result: "ok-5", attempts: upTo(5) }],
  ["retryExceedingDefaults", { error: "always-fail-5" }],
  ["retryWithOverride", { result: "ok-2", attempts: [1, 2] }],
] as const)("TestRetryDefaultsAgent: %s answers %j", async ([method, answer]) => {
  const agent = await Subject.of("TestRetryDefaultsAgent");
  expect(await agent.call(method)).toEqual(answer);
  expect(await agent.callAfresh(method)).toEqual(answer);
});
