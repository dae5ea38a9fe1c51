// Fetches a recording itself, holds length and SHA-256 against the order, and plays it; heard is what sounded long enough.

import { sha256 } from "./dsse.js";
import { made } from "./shown.js";
import { say } from "./texts.js";

const HEARD_S = 5;

async function bytesOf(answer, most) {
  const reader = answer.body.getReader();
  const pieces = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    length += value.length;
    if (length > most) {
      await reader.cancel();
      return null;
    }
    pieces.push(value);
  }
  return new Uint8Array(await new Blob(pieces).arrayBuffer());
}

/** Puts a player for one recording into its place; `heard` is called once it sounded. */
export async function offer(address, clip, spot, heard) {
  const note = made("p", "hint", say("clip.loading"));
  spot.append(note);
  const bad = (key) => {
    note.className = "bad";
    note.textContent = say(key);
  };
  let bytes = null;
  try {
    const answer = await fetch(address, { credentials: "omit", referrerPolicy: "no-referrer" });
    if (answer.ok) bytes = await bytesOf(answer, clip.bytes);
  } catch {
    bytes = null;
  }
  if (!bytes || bytes.length !== clip.bytes || (await sha256(bytes)) !== clip.sha256) return bad("clip.wrong");
  const player = document.createElement("audio");
  player.controls = true;
  player.src = URL.createObjectURL(new Blob([bytes], { type: "audio/webm" }));
  note.textContent = say("clip.good");
  let sounded = 0;
  let before = null;
  const done = () => {
    note.className = "good";
    note.textContent = say("clip.heard");
    heard(clip.sha256);
  };
  player.addEventListener("timeupdate", () => {
    const step = before === null ? 0 : player.currentTime - before;
    if (step > 0 && step < 1.5 && !player.muted && player.volume > 0) sounded += step;
    before = player.currentTime;
    if (sounded >= HEARD_S) done();
  });
  player.addEventListener("seeking", () => { before = null; });
  player.addEventListener("ended", () => { if (sounded >= Math.min(HEARD_S, clip.duration_ms / 1000) * 0.8) done(); });
  player.addEventListener("error", () => bad("clip.mute"));
  spot.append(player);
  return undefined;
}
