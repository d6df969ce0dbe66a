/** SecureAgent with real keys, whose signatures the platform checks. Runs once for each algorithm that can be configured. */
import { evictDurableObject, listDurableObjectIds } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { describe, expect, inject, test } from "vitest";
import jwks from "../../keys/jwks.json";
import { fresh } from "../../support/peer";
import { inDer, SECRET, token, unsignedToken, type KeyName } from "../../support/tokens";
import { connect, fetchWorker } from "../../support/workerd";

const alg = inject("algorithm");
const { SecureAgent } = env as unknown as { SecureAgent: DurableObjectNamespace };

const RIGHT = { HS256: { secret: SECRET }, RS256: "rsa", ES256: "ec" } as const;
const WRONG = { HS256: { secret: "another secret of thirty-two bytes" }, RS256: "otherRsa", ES256: "otherEc" } as const;

const now = () => Math.floor(Date.now() / 1_000);
const claims = (changes: object = {}) => ({ sub: "ada", iss: "issuer", aud: "agents", exp: now() + 600, ...changes });
const good = (changes: object = {}, header: object = {}) => token(RIGHT[alg], { alg, ...header }, claims(changes));

const tampered = async () => {
  const [header, , signature] = (await good()).split(".");
  const [, other] = (await good({ sub: "eve" })).split(".");
  return `${header}.${other}.${signature}`;
};

const publicKey = (kid: KeyName) => JSON.stringify(jwks.keys.find((key) => key.kid === kid));

const REFUSED: Record<string, () => string | Promise<string>> = {
  "signed by somebody else": () => token(WRONG[alg], { alg }, claims()),
  "without a signature": () => unsignedToken({ alg }, claims()),
  "of algorithm none": () => unsignedToken({ alg: "none" }, claims()),
  "tampered with": tampered,
  "expired": () => good({ exp: now() - 61 }),
  "without an end": () => good({ exp: undefined }),
  "not valid yet": () => good({ nbf: now() + 120 }),
  "of another issuer": () => good({ iss: "another" }),
  "for another audience": () => good({ aud: ["others"] }),
  "without a user": () => good({ sub: "" }),
  "too long": () => good({ more: "x".repeat(8 * 1024) }),
  "for developers": () => "dev:ada:admin",
  ...(alg === "HS256"
    ? { "of an algorithm that is not configured": () => token("rsa", { alg: "RS256" }, claims()) }
    : {
        "that names a key which is not ours": () => good({}, { kid: "no-such-key" }),
        "signed with a public key as the secret": () => token({ secret: publicKey("rsa") }, { alg: "HS256" }, claims()),
        "signed with the secret of another algorithm": () => token({ secret: SECRET }, { alg: "HS256" }, claims()),
      }),
  ...(alg === "RS256" ? { "signed with a key that is too short": () => good({}, { kid: "rsa-weak" }) } : {}),
  ...(alg === "ES256" ? { "whose signature is in DER": async () => inDer(await good()) } : {}),
};

test("a good token signs its user in, over an eviction too", async () => {
  const name = fresh();
  const kid = alg === "HS256" ? {} : { kid: RIGHT[alg] };
  const ada = await connect(`/agents/secure-agent/${name}?token=${await good({ role: "admin" }, kid)}`);
  const frames = await ada.settledJson();
  expect(frames).toContainEqual({ type: "authenticated", user: { id: "ada", role: "admin" } });
  await evictDurableObject(SecureAgent.getByName(name));
  ada.send({ type: "admin_notice", message: "still here" });
  expect(await ada.json()).toEqual({ type: "admin_notice", message: "still here" });
});

describe.for(Object.entries(REFUSED))("a token %s", ([, make]) => {
  test("is refused, and wakes no object", async () => {
    const path = `/agents/secure-agent/${fresh()}`;
    const bad = await make();
    const stranger = await connect(`${path}?token=${bad}`);
    expect(await stranger.closed()).toMatchObject({ code: 4001, reason: "Unauthorized" });
    const answer = await fetchWorker(path, { headers: { authorization: `Bearer ${bad}` } });
    expect([answer.status, await answer.json()]).toEqual([401, { error: "Unauthorized" }]);
    expect(answer.headers.get("www-authenticate")).toBe("Bearer");
    const id = SecureAgent.idFromName(path.slice(path.lastIndexOf("/") + 1));
    const awake = await listDurableObjectIds(SecureAgent);
    expect(awake.filter((other) => other.equals(id))).toEqual([]);
  });
});

test("a request with a good token reaches the agent", async () => {
  const authorization = `Bearer ${await good()}`;
  const answer = await fetchWorker(`/agents/secure-agent/${fresh()}`, { headers: { authorization } });
  expect([answer.status, await answer.text()]).toEqual([404, "Not implemented"]);
});
