// The orders that this page knows, field by field as protocol/orders.py has them. What it does not know it does not sign.

import { Malformed, parse, textOf } from "./strict.js";

const MAX_MS = 2 ** 53 - 1;
const AREA = /^[0-9A-Za-z]+(\.[0-9A-Za-z]+)*$/;
const SHORT_ID = /^[0-9a-z][0-9a-z._-]{0,47}$/;
const LANG = /^[a-z]{2,3}(-[0-9A-Za-z]{1,8})*$/;
const HEX16 = /^[0-9a-f]{16}$/;
const SHA256 = /^[0-9a-f]{64}$/;
const PURPOSES = ["routine", "live", "exercise"];
const MISSING = Symbol("missing");

const number = (least, most) => (value) => Number.isInteger(value) && value >= least && value <= most;
const letters = (least, most) => (value) => typeof value === "string" && [...value].length >= least && [...value].length <= most;
const pattern = (form, most = Infinity) => (value) => typeof value === "string" && value.length <= most && form.test(value);
const oneOf = (...words) => (value) => words.includes(value);
const listOf = (most, good) => (value) => Array.isArray(value) && value.length <= most && value.every(good);
const structOf = (fields) => (value) => value instanceof Map && !wrongIn(value, fields);
const needed = (good) => ({ good, otherwise: MISSING });
const or = (otherwise, good) => ({ good, otherwise });

const TEXT = { lang: needed(pattern(LANG, 20)), text: needed(letters(1, 2000)) };
const CLIP = {
  lang: needed(pattern(LANG, 20)),
  sha256: needed(pattern(SHA256)),
  bytes: needed(number(1, 2 ** 31)),
  duration_ms: needed(number(1, 3_600_000)),
  purpose: needed(oneOf(...PURPOSES)),
};
const COMMON = {
  op: needed(oneOf("START", "STOP", "LIFT")),
  authority: needed(pattern(SHORT_ID)),
  area: needed(pattern(AREA, 48)),
  area_no: needed(number(0, 2 ** 32 - 1)),
  seq: needed(number(0, MAX_MS)),
  purpose: needed(oneOf(...PURPOSES)),
};
const START = {
  ...COMMON,
  incident: needed(pattern(HEX16)),
  class: or("emergency", oneOf("emergency")),
  risk: or(0, number(0, 5)),
  issuing_body: needed(letters(1, 200)),
  source_doc: or("", letters(0, 200)),
  text: or([], listOf(8, structOf(TEXT))),
  clips: or([], listOf(8, structOf(CLIP))),
  repeats: or(3, number(1, 100)),
  accept_until_ms: needed(number(0, MAX_MS)),
  sound_max_s: or(600, number(1, 21_600)),
  answers: or([], listOf(256, pattern(HEX16))),
};
const END = {
  ...COMMON,
  incident: or(null, (value) => value === null || pattern(HEX16)(value)),
  reason: or("", letters(0, 300)),
};
const KINDS = {
  order: { purpose: "live", ops: { START, STOP: END, LIFT: END }, acceptMs: 6 * 3_600_000 },
  exercise: { purpose: "exercise", ops: { START, STOP: END }, acceptMs: 600_000 },
};
const TYPE = /^application\/vnd\.loa\.([a-z]+)\.v1\+json$/;

function wrongIn(value, fields) {
  for (const name of value.keys()) if (!Object.hasOwn(fields, name)) return `unknown field ${name}`;
  for (const [name, { good, otherwise }] of Object.entries(fields)) {
    if (!value.has(name)) {
      if (otherwise === MISSING) return `${name} is missing`;
    } else if (!good(value.get(name))) return `${name} is not as it must be`;
  }
  return "";
}

function plain(value) {
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, inner]) => [name, plain(inner)]));
  return Array.isArray(value) ? value.map(plain) : value;
}

/** The kind that a payload type says, if this page knows it. Throws Malformed. */
export function kindOf(type) {
  const found = TYPE.exec(type);
  if (!found || !Object.hasOwn(KINDS, found[1])) throw new Malformed(`this page does not sign ${type}`, "unknown-kind");
  return found[1];
}

/** The order in a payload's bytes, with what is left out at its default. Throws Malformed. */
export function orderOf(type, bytes) {
  const kind = kindOf(type);
  const { purpose, ops, acceptMs } = KINDS[kind];
  const value = parse(textOf(bytes));
  if (!(value instanceof Map)) throw new Malformed("no object");
  const fields = Object.hasOwn(ops, value.get("op")) ? ops[value.get("op")] : null;
  if (!fields) throw new Malformed(`an ${kind} does nothing called ${value.get("op")}`);
  const wrong = wrongIn(value, { ...fields, kind: or(kind, oneOf(kind)) });
  if (wrong) throw new Malformed(wrong);
  const order = { kind };
  for (const [name, { otherwise }] of Object.entries(fields)) order[name] = value.has(name) ? plain(value.get(name)) : otherwise;
  if (order.purpose !== purpose) throw new Malformed(`purpose ${order.purpose} in an ${kind}`, "wrong-type");
  if (order.op === "START") judgeStart(order, purpose, acceptMs);
  return order;
}

function judgeStart(order, purpose, acceptMs) {
  if (order.clips.some((clip) => clip.purpose !== purpose)) throw new Malformed("a recording made for another purpose", "wrong-type");
  const open = order.accept_until_ms - order.seq;
  if (open < 0 || open > acceptMs) throw new Malformed("it could be accepted for too long, or never");
}
