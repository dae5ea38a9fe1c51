// Sealed documents, byte for byte as protocol/envelope.py makes them: PAE, key ids, digests, envelopes. Pure but for WebCrypto.

import { Malformed, parse, textOf } from "./strict.js";

export const MAX_SIGNATURES = 4;
const ENVELOPE_FIELDS = ["payload", "payloadType", "signatures"];
const SIGNATURE_FIELDS = ["keyid", "sig"];
const encoder = new TextEncoder();

export const hex = (bytes) => [...new Uint8Array(bytes)].map((each) => each.toString(16).padStart(2, "0")).join("");
export const toBase64 = (bytes) => btoa(Array.from(new Uint8Array(bytes), (each) => String.fromCharCode(each)).join(""));
export const sha256 = async (bytes) => hex(await crypto.subtle.digest("SHA-256", bytes));

/** The bytes of base64 in its one canonical spelling. Throws Malformed. */
export function fromBase64(text) {
  let bytes;
  try {
    bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  } catch {
    throw new Malformed("no base64");
  }
  if (toBase64(bytes) !== text) throw new Malformed("base64 that is not canonical");
  return bytes;
}

function joined(...pieces) {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** DSSE's pre-authentication encoding: what a signature is over. */
export function pae(type, payload) {
  const typeBytes = encoder.encode(type);
  const head = encoder.encode(`DSSEv1 ${typeBytes.length} `);
  return joined(head, typeBytes, encoder.encode(` ${payload.length} `), payload);
}

/** The identity of a document. */
export const digestOf = (type, payload) => sha256(joined(encoder.encode(type), payload));

/** The key id of a public key (hex), reckoned as securesystemslib does. */
export const keyidOf = (publicHex) =>
  sha256(encoder.encode(`{"keytype":"ed25519","keyval":{"public":"${publicHex}"},"scheme":"ed25519"}`));

/** The bytes (as text) of an envelope. */
export function close({ type, payload, signatures }) {
  if (signatures.length < 1 || signatures.length > MAX_SIGNATURES) throw new Malformed(`${signatures.length} signatures`);
  return JSON.stringify({ payload: toBase64(payload), payloadType: type, signatures });
}

function fieldsOf(value, names, what) {
  if (!(value instanceof Map) || value.size !== names.length || !names.every((name) => value.has(name))) {
    throw new Malformed(`${what} is not as it must be`);
  }
  return names.map((name) => value.get(name));
}

function signatureOf(value) {
  const [keyid, sig] = fieldsOf(value, SIGNATURE_FIELDS, "a signature");
  if (typeof keyid !== "string" || !/^[0-9a-f]{64}$/.test(keyid) || typeof sig !== "string" || sig.length > 88) {
    throw new Malformed("a signature is not as it must be");
  }
  if (fromBase64(sig).length !== 64) throw new Malformed("a signature has 64 bytes");
  return { keyid, sig };
}

/** Type, payload and signatures of an envelope's text. Nothing is verified. Throws Malformed. */
export function open(text) {
  const [payload, type, signed] = fieldsOf(parse(text), ENVELOPE_FIELDS, "the envelope");
  if (typeof payload !== "string" || typeof type !== "string" || !Array.isArray(signed)) throw new Malformed("no envelope");
  const signatures = signed.map(signatureOf);
  if (new Set(signatures.map((each) => each.keyid)).size !== signatures.length) throw new Malformed("two signatures under one key id");
  const envelope = { type, payload: fromBase64(payload), signatures };
  close(envelope);
  return envelope;
}

/** The same of bytes. */
export const openBytes = (bytes) => open(textOf(bytes));

/** The envelope with one more signature, by this private key. Throws Malformed when that key has signed already. */
export async function signed(envelope, privateKey, keyid) {
  if (envelope.signatures.some((each) => each.keyid === keyid)) throw new Malformed("this key has signed already", "same-key");
  const sig = toBase64(await crypto.subtle.sign("Ed25519", privateKey, pae(envelope.type, envelope.payload)));
  return { ...envelope, signatures: [...envelope.signatures, { keyid, sig }] };
}

/** Whether a public key (hex) made the envelope's signature under this key id. */
export async function holds(envelope, publicHex, keyid) {
  const found = envelope.signatures.find((each) => each.keyid === keyid);
  if (!found) return false;
  const raw = Uint8Array.from(publicHex.match(/../g), (pair) => parseInt(pair, 16));
  const key = await crypto.subtle.importKey("raw", raw, "Ed25519", false, ["verify"]);
  return crypto.subtle.verify("Ed25519", key, fromBase64(found.sig), pae(envelope.type, envelope.payload));
}
