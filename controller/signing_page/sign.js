// The page: this device's key, and what somebody asks to be signed with it. `#sign=<token>&at=<controller's origin>` asks.

import { close, digestOf, fromBase64, open, signed, toBase64 } from "./dsse.js";
import { deliberate } from "./hold.js";
import * as keys from "./keys.js";
import { offer } from "./listen.js";
import { orderOf } from "./orders.js";
import { drawn, gist, renewed } from "./shown.js";
import { Malformed } from "./strict.js";
import { say, speak, speaking } from "./texts.js";

const APART_MS = 60_000;
const RENEW_MS = 20_000;
const PERSON = /^[0-9a-z][0-9a-z._-]{0,47}$/;
const find = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.hash.slice(1));
const token = asked.get("sign") ?? "";
const at = asked.get("at") ?? "";
let kept;
let act;

function trouble(sentence) {
  find("trouble").hidden = !sentence;
  find("trouble").textContent = sentence;
}

function label() {
  for (const spot of document.querySelectorAll("[data-t]")) spot.textContent = say(spot.dataset.t);
  document.title = `Loa · ${say("title")}`;
}

// --- what is asked ---------------------------------------------------------------------------------------------------

/** Reads what is to be signed; every order is parsed from its bytes. Throws Malformed. */
async function read(told) {
  const items = [];
  for (const one of told.orders) {
    const envelope = one.sealed ? open(one.sealed) : { type: one.type, payload: fromBase64(one.payload), signatures: [] };
    if (envelope.signatures.some((each) => each.keyid === kept.keyid)) throw new Malformed(say("wrong.same-key"), "same-key");
    const order = orderOf(envelope.type, envelope.payload);
    items.push({ envelope, order, digest: await digestOf(envelope.type, envelope.payload) });
  }
  const kinds = new Set(items.map(({ order }) => `${order.kind}.${order.op}.${order.incident}`));
  if (items.length === 0 || kinds.size !== 1) throw new Malformed(say("wrong.mixed"));
  if (new Set(items.map(({ order }) => order.area)).size !== items.length) throw new Malformed(say("wrong.mixed"));
  return items;
}

async function fetched() {
  const began = Date.now();
  const answer = await fetch(`${at}/sign/${token}?key=${kept.keyid}`, {
    credentials: "omit", cache: "no-store", referrerPolicy: "no-referrer",
  });
  const told = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(told.error), { refused: told.code });
  return { told, apartMs: (began + Date.now()) / 2 - told.now_ms };
}

/** Why these bytes may not be signed now; "" when they may. */
function objection(items, second, apartMs) {
  const now = Date.now();
  if (Math.abs(apartMs) > APART_MS) return say("wrong.clock", { seconds: Math.round(Math.abs(apartMs) / 1000) });
  for (const { order } of items) {
    const age = now - order.seq;
    if (age < -APART_MS || (!second && age > APART_MS)) return say("wrong.old");
    if (order.op === "START" && order.accept_until_ms <= now) return say("wrong.bytes", { why: say("wrong.over") });
  }
  return "";
}

async function load() {
  const { told, apartMs } = await fetched();
  const items = await read(told);
  const fresh = { told, items, apartMs, second: items.every(({ envelope }) => envelope.signatures.length > 0) };
  const before = act;
  if (before && gist(before.items.map((item) => item.order)) !== gist(items.map((item) => item.order))) {
    trouble(say("wrong.changed"));
    await show(fresh);
    return;
  }
  act = { ...before, ...fresh };
  if (before) renewed(items);
  if (!before) await show(fresh);
  else trouble(objection(items, act.second, apartMs));
}

function explained(error) {
  if (error instanceof Malformed) return error.code === "same-key" ? say("wrong.same-key") : say("wrong.bytes", { why: error.message });
  if (error.refused) return say(`wrong.${error.refused}`) === `wrong.${error.refused}` ? error.message : say(`wrong.${error.refused}`);
  return say("wrong.server");
}

const unheard = () => [...act.clips.keys()].some((sha256) => !act.heard.has(sha256));
const ready = () => Boolean(act) && !unheard();

function refreshButton() {
  const missing = unheard();
  for (const button of [find("sign"), find("typed-sign")]) button.disabled = missing;
  find("listen").hidden = !missing;
}

async function show(fresh) {
  const clips = new Map();
  act = { ...fresh, clips, heard: act?.heard ?? new Set() };
  const { told, items, second } = act;
  find("order").replaceChildren(await drawn(items, told.names, told.titles, clips));
  find("second").hidden = !second && !told.needs_more;
  find("second").textContent = second ? say("second.by", { by: told.by }) : say("second.needed");
  const first = items[0].order;
  const long = first.op === "START";
  find("typed").parentElement.hidden = !long;
  find("typed-help").textContent = say("sign.type_help", { area: first.area });
  find("cancel").href = at + (/^\/[a-z]/.test(told.cancel ?? "") ? told.cancel : "/");
  find("act").hidden = false;
  find("sign").className = `big hold ${first.kind === "exercise" ? "exercise" : long ? "live" : "stop"}`;
  arm(long);
  refreshButton();
  const wrong = objection(items, second, act.apartMs);
  if (wrong) trouble(wrong);
  for (const { clip, spot } of clips.values()) {
    offer(`${at}/sign/${token}/media/${clip.sha256}`, clip, spot, (sha256) => {
      act.heard.add(sha256);
      refreshButton();
    });
  }
}

function arm(long) {
  if (act.button) return;
  const old = find("sign");
  const button = old.cloneNode(true);
  old.replaceWith(button);
  act.button = deliberate(button, { long, ready, act: give, asks: () => say(long ? "hold" : "sign") });
}

/** Signs and goes back to the controller's page. Returns whether it did. */
async function give() {
  const wrong = objection(act.items, act.second, act.apartMs);
  if (wrong || !ready()) {
    trouble(wrong || say("sign.listen"));
    renew();
    return false;
  }
  const sealed = [];
  for (const { envelope } of act.items) sealed.push(close(await signed(envelope, kept.key, kept.keyid)));
  for (const { order } of act.items) {
    if (Object.hasOwn(act.told.names, order.area)) await keys.rememberArea(order.area, String(act.told.names[order.area]));
  }
  const packed = toBase64(new TextEncoder().encode(JSON.stringify(sealed))).replaceAll("+", "-").replaceAll("/", "_");
  location.replace(`${at}/signed/${token}#${packed}`);
  return true;
}

async function renew() {
  if (act?.button?.holding()) return;
  try {
    await load();
  } catch (error) {
    trouble(explained(error));
    if (error.refused || error instanceof Malformed) find("act").hidden = true;
  }
}

// --- this device's key -----------------------------------------------------------------------------------------------

function showKey() {
  find("no-key").hidden = Boolean(kept);
  find("my-key").hidden = !kept;
  if (!kept) return;
  find("who").textContent = `${kept.name} (${kept.person})`;
  find("fingerprint").textContent = keys.fingerprint(kept);
  find("public").textContent = keys.publicFile(kept);
  find("save").href = URL.createObjectURL(new Blob([keys.publicFile(kept)], { type: "application/json" }));
  find("save").download = `${kept.person}.pub`;
}

find("make").addEventListener("submit", async (event) => {
  event.preventDefault();
  const person = find("person").value.trim();
  const name = find("name").value.trim().normalize("NFC");
  if (!PERSON.test(person) || !name) return trouble(say("key.person_wrong"));
  trouble("");
  try {
    kept = await keys.make(person, name);
  } catch {
    return trouble(say("key.unable"));
  }
  showKey();
  return begin();
});
find("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(keys.publicFile(kept));
  find("copy").textContent = say("key.copied");
});
find("forget").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (find("sure").value.trim().toLowerCase() !== "xoa") return;
  await keys.forget();
  location.reload();
});
find("typed").addEventListener("submit", (event) => {
  event.preventDefault();
  if (act && find("typed-area").value.trim() === act.items[0].order.area) give();
});
find("tongue").addEventListener("click", () => {
  localStorage.setItem("tongue", speaking() === "vi" ? "en" : "vi");
  location.reload();
});

// --- begin -----------------------------------------------------------------------------------------------------------

async function begin() {
  if (!token || !kept) return;
  find("key").open = false;
  trouble(say("loading"));
  try {
    if (!/^https:\/\/[^/?#@]+$/.test(at) || !/^[\w-]{20,64}$/.test(token)) throw new Error("no address");
    trouble("");
    await load();
    setInterval(() => { if (!document.hidden) renew(); }, RENEW_MS);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) renew(); });
  } catch (error) {
    trouble(explained(error));
  }
}

speak(localStorage.getItem("tongue") ?? asked.get("lang") ?? "vi");
label();
window.addEventListener("hashchange", () => location.reload());
try {
  kept = await keys.mine();
} catch {
  trouble(say("key.unable"));
}
showKey();
await begin();
document.documentElement.dataset.ready = "1";
