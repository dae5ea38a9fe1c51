// The page without this file still works (forms and reloads), but for signing. This adds: clocks, live rows, the way back from signing.
"use strict";

const body = document.body;
const filled = (template, value) => template.replace("#", value);
// Always Vietnamese time, so that it can be compared with the other times on the page.
const clockForm = new Intl.DateTimeFormat("en-GB", { timeZone: "Asia/Ho_Chi_Minh", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const clockOf = (ms) => clockForm.format(new Date(ms));

// --- time: the viewer's clock beside the server's ---------------------------------------------------------------
const APART_MS = 30000;
let serverAheadMs = Number(body.dataset.now) - Date.now();

function heardServer(nowMs) {
  serverAheadMs = nowMs - Date.now();
  const apart = document.getElementById("apart");
  apart.hidden = Math.abs(serverAheadMs) < APART_MS;
  apart.textContent = filled(body.dataset.apart, Math.round(Math.abs(serverAheadMs) / 1000));
}

function ago(ms) {
  const seconds = Math.max(0, Math.floor((Date.now() + serverAheadMs - ms) / 1000));
  if (seconds < 120) return filled(body.dataset.seconds, seconds);
  if (seconds < 7200) return filled(body.dataset.minutes, Math.floor(seconds / 60));
  return filled(body.dataset.hours, Math.floor(seconds / 3600));
}

function tick() {
  for (const spot of document.querySelectorAll("[data-clock]")) spot.textContent = clockOf(Date.now());
  for (const spot of document.querySelectorAll("[data-ago]")) {
    if (spot.dataset.ago) spot.textContent = `(${ago(Number(spot.dataset.ago))})`;
  }
}

for (const spot of document.querySelectorAll("[data-yours]")) spot.hidden = false;
heardServer(Number(body.dataset.now));
tick();
setInterval(tick, 1000);

// --- live regions: each child has an id; only what changed is sent ------------------------------------------------
function drawn(html) {
  const holder = document.createElement("template");
  holder.innerHTML = html;
  return holder.content.firstElementChild;
}

function busy(element) {
  return element.matches("details[open]") || element.querySelector("details[open]") || element.contains(document.activeElement);
}

const KEPT_WHILE_OPEN = new Set(["active", "acts"]);

function patch(region, change) {
  const place = document.querySelector(`[data-live="${region}"]`);
  if (!place) return;
  for (const child of [...place.children]) if (!change.order.includes(child.id)) child.remove();
  for (const [id, html] of Object.entries(change.html)) {
    const old = document.getElementById(id);
    if (!old) place.append(drawn(html));
    else if (!KEPT_WHILE_OPEN.has(region) || !busy(old)) old.replaceWith(drawn(html));
  }
  change.order.forEach((id, index) => {
    const child = document.getElementById(id);
    if (child && place.children[index] !== child) place.insertBefore(child, place.children[index]);
  });
  tick();
}

// --- the stream: silent for too long is stale, and says so --------------------------------------------------------
const STALE_MS = 15000;
const RETRY_MS = 3000;
let stream = null;
let heardMs = Date.now();
let ended = false;

function stale(sentence) {
  const spot = document.getElementById("stale");
  spot.hidden = !sentence;
  if (sentence && spot.textContent !== sentence) spot.textContent = sentence;
  document.documentElement.classList.toggle("is-stale", Boolean(sentence));
}

function listen() {
  if (stream) stream.close();
  stream = new EventSource(body.dataset.events);
  stream.addEventListener("regions", (event) => {
    const news = JSON.parse(event.data);
    heardMs = Date.now();
    stale("");
    heardServer(news.now);
    for (const [region, change] of Object.entries(news.regions)) patch(region, change);
  });
  stream.addEventListener("ended", () => {
    ended = true;
    stream.close();
    stale(body.dataset.ended);
  });
  // A refused or broken stream may be closed for good by the browser: start another one.
  stream.onerror = () => {
    if (Date.now() - heardMs > RETRY_MS) stale(filled(body.dataset.lost, clockOf(heardMs)));
  };
}

if (body.dataset.events) {
  listen();
  setInterval(() => {
    if (ended) return;
    if (stream.readyState === EventSource.CLOSED) listen();
    if (Date.now() - heardMs > STALE_MS) stale(filled(body.dataset.lost, clockOf(heardMs)));
  }, RETRY_MS);
  window.addEventListener("pagehide", () => stream.close());
  window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
}

// --- back from the signing page: the sealed bytes stand in the fragment, and go on as a form ------------------------
const signedForm = document.getElementById("signed");
if (signedForm) {
  const kept = `signed ${location.pathname}`;
  if (location.hash.length > 1) sessionStorage.setItem(kept, location.hash.slice(1));
  const sealed = sessionStorage.getItem(kept);
  history.replaceState(null, "", location.pathname + location.search);
  if (signedForm.dataset.here && sealed) {
    sessionStorage.removeItem(kept);
    signedForm.elements.sealed.value = sealed;
    signedForm.submit();
  } else if (sealed && !location.search) {
    // A page of another site led here, so the browser kept back our strict cookie: ask once more, by ourselves.
    location.replace(`${location.pathname}?again`);
  }
}

// --- forms: one press, one request; how many letters ----------------------------------------------------------------
for (const form of document.forms) {
  if (form.method !== "post") continue;
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
}
window.addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });

for (const area of document.querySelectorAll("textarea[data-count]")) {
  const count = document.createElement("p");
  count.className = "hint count-letters";
  area.after(count);
  const show = () => { count.textContent = filled(area.dataset.count, area.value.length); };
  area.addEventListener("input", show);
  show();
}
