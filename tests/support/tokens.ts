/** Tokens as an issuer makes them, with the keys in `tests/keys`, which are there for tests and guard nothing. */
import ec from "../keys/ec.pem?raw";
import otherEc from "../keys/ec-other.pem?raw";
import rsa from "../keys/rsa.pem?raw";
import otherRsa from "../keys/rsa-other.pem?raw";

const PKCS8 = { rsa, otherRsa, ec, otherEc };

export type KeyName = keyof typeof PKCS8;

export const SECRET = "a secret of at least thirty-two bytes";

const RSA_SHA256 = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const EC_P256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const HMAC_SHA256 = { name: "HMAC", hash: "SHA-256" };

const bytes = (text: string) => new TextEncoder().encode(text);

const base64Url = (data: Uint8Array | ArrayBuffer) =>
  btoa(String.fromCharCode(...new Uint8Array(data as ArrayBuffer)))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");

const unsigned = (header: object, claims: object) =>
  `${base64Url(bytes(JSON.stringify(header)))}.${base64Url(bytes(JSON.stringify(claims)))}`;

async function sign(key: KeyName | { secret: string }, data: string): Promise<ArrayBuffer> {
  if (typeof key === "object") {
    const secret = await crypto.subtle.importKey("raw", bytes(key.secret), HMAC_SHA256, false, ["sign"]);
    return crypto.subtle.sign("HMAC", secret, bytes(data));
  }
  const base64 = PKCS8[key].split("\n").filter((line) => !line.startsWith("-"));
  const der = Uint8Array.from(atob(base64.join("")), (character) => character.charCodeAt(0));
  const algorithm = key === "rsa" || key === "otherRsa" ? RSA_SHA256 : EC_P256;
  const imported = await crypto.subtle.importKey("pkcs8", der, algorithm, false, ["sign"]);
  return crypto.subtle.sign(algorithm, imported, bytes(data));
}

/** A token of that header and those claims, signed with that key. */
export async function token(key: KeyName | { secret: string }, header: object, claims: object): Promise<string> {
  const signed = unsigned(header, claims);
  return `${signed}.${base64Url(await sign(key, signed))}`;
}

/** The same without a signature. */
export const unsignedToken = (header: object, claims: object) => `${unsigned(header, claims)}.`;

/** A signature of two numbers, as certificates write it: a DER sequence of integers. */
export function inDer(jwt: string): string {
  const [header, claims, signature] = jwt.split(".") as [string, string, string];
  const raw = Uint8Array.from(atob(signature.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const integer = (number: Uint8Array) => {
    const digits = [...number].slice(number.findIndex((byte) => byte !== 0));
    const positive = (digits[0] ?? 0) > 0x7f ? [0, ...digits] : digits;
    return [2, positive.length, ...positive];
  };
  const sequence = [...integer(raw.slice(0, 32)), ...integer(raw.slice(32))];
  return `${header}.${claims}.${base64Url(Uint8Array.from([0x30, sequence.length, ...sequence]))}`;
}
