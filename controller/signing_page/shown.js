// Draws an order so that a person can read it: only text nodes, only what was read from the bytes, but for names, and says so.

import { rememberedArea } from "./keys.js";
import { say } from "./texts.js";

const clock = new Intl.DateTimeFormat("en-GB", {
  timeZone: "Asia/Ho_Chi_Minh", hour: "2-digit", minute: "2-digit", second: "2-digit", day: "2-digit", month: "2-digit",
});

/** An element with classes and children (elements or text). */
export function made(tag, className = "", ...children) {
  const found = document.createElement(tag);
  if (className) found.className = className;
  found.append(...children);
  return found;
}

const row = (name, value) => made("div", "", made("dt", "", say(name)), made("dd", "", String(value)));
const langOf = (lang) => (say(`lang.${lang}`) === `lang.${lang}` ? lang : say(`lang.${lang}`));

async function place(order, names) {
  const told = Object.hasOwn(names, order.area) ? String(names[order.area]) : "";
  const remembered = await rememberedArea(order.area);
  const differs = remembered !== undefined && remembered !== told;
  const source = differs ? `${say("name.differs")}: ${remembered}` : say(remembered === undefined ? "name.server" : "name.known");
  return made("p", "where", order.area, made("small", differs ? "bad" : "", `${told} (${source})`));
}

function common(order, digest) {
  const list = made("dl");
  list.dataset.area = order.area;
  if (order.op === "START") {
    list.append(row("repeats", order.repeats), row("until", clock.format(order.accept_until_ms)), row("longest", order.sound_max_s));
    list.append(row("body", order.issuing_body));
    if (order.source_doc) list.append(row("doc", order.source_doc));
    if (order.answers.length) list.append(row("answers", order.answers.length));
  } else if (order.reason) list.append(row("reason", order.reason));
  list.append(row("issued", clock.format(order.seq)), row("authority", order.authority));
  list.append(row("incident", order.incident ?? say("incident.all")), row("digest", digest));
  return list;
}

/** What the orders of one act say alike: everything but place, grant, number, time and nonces. */
export function alike(order) {
  const { area, area_no, authority, seq, accept_until_ms, answers, ...rest } = order;
  return JSON.stringify(rest);
}

/** What must not change between reading and signing. */
export const gist = (orders) => JSON.stringify(orders.map((order) => [order.area, order.authority, alike(order)]));

/** Draws all orders of an act; `clips` gets one element for each recording. */
export async function drawn(items, names, titles, clips) {
  const first = items[0].order;
  const box = made("section", `readback ${first.kind === "exercise" ? "exercise" : first.op === "START" ? "live" : "end"}`);
  box.append(made("p", "kind", say(`${first.kind}.${first.op}`)), made("p", "hint", say("read")), made("h2", "", say("where")));
  for (const { order } of items) box.append(await place(order, names));
  for (const same of new Set(items.map(({ order }) => alike(order)))) {
    const { order } = items.find((item) => alike(item.order) === same);
    if (order.op === "START") box.append(...start(order, titles, clips));
  }
  const more = made("details", "", made("summary", "", say("issued")));
  if (items.length === 1) box.append(common(first, items[0].digest));
  else {
    for (const { order, digest } of items) more.append(made("h2", "", order.area), common(order, digest));
    box.append(common(first, items[0].digest), more);
  }
  return box;
}

/** Shows times, digests and nonces of bytes that were renewed and say the same otherwise. */
export function renewed(items) {
  for (const { order, digest } of items) {
    for (const old of document.querySelectorAll(`dl[data-area="${order.area}"]`)) old.replaceWith(common(order, digest));
  }
}

function start(order, titles, clips) {
  const parts = [];
  if (order.risk) parts.push(made("p", "", made("span", `risk r${order.risk}`, `${say("risk")} ${order.risk}`)));
  parts.push(made("h2", "", say("says")));
  for (const { lang, text } of order.text) {
    const quote = made("blockquote", "", made("small", "", langOf(lang)), text);
    quote.lang = lang;
    parts.push(quote);
  }
  for (const clip of order.clips) {
    const title = Object.hasOwn(titles, clip.sha256) ? ` «${titles[clip.sha256]}»` : "";
    const spot = made("div", "clip", made("small", "", `${say("clip")} ${langOf(clip.lang)}${title} ${clip.sha256.slice(0, 12)}…`));
    clips.set(clip.sha256, { clip, spot });
    parts.push(spot);
  }
  return parts;
}
