// The deliberate act: a button held for two seconds (by finger, mouse or keyboard), or pressed once where that is enough.

import { say } from "./texts.js";

const HOLD_MS = 2000;

/** Makes `button` call `act` when it was held (or pressed, without `long`). `ready` says whether it may. */
export function deliberate(button, { long, ready, act, asks }) {
  const words = button.querySelector(".words");
  let timer = 0;
  let spent = false;
  const release = () => {
    if (spent) return;
    clearTimeout(timer);
    timer = 0;
    button.classList.remove("held");
    words.textContent = asks();
  };
  const go = async () => {
    timer = 0;
    spent = true;
    words.textContent = say("signing");
    if (navigator.vibrate) navigator.vibrate(80);
    spent = await act();
    if (!spent) release();
  };
  const press = (event) => {
    if (timer || spent || button.disabled || !ready()) return;
    event.preventDefault();
    button.classList.add("held");
    words.textContent = say("holding");
    timer = setTimeout(go, HOLD_MS);
  };
  words.textContent = asks();
  button.addEventListener("contextmenu", (event) => event.preventDefault());
  if (!long) {
    button.addEventListener("click", () => { if (!spent && !button.disabled && ready()) go(); });
    return { holding: () => false, release };
  }
  button.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    button.setPointerCapture(event.pointerId);
    press(event);
  });
  for (const name of ["pointerup", "pointercancel", "lostpointercapture", "blur", "keyup"]) button.addEventListener(name, release);
  button.addEventListener("keydown", (event) => { if (event.key === " " || event.key === "Enter") press(event); });
  return { holding: () => timer !== 0 || spent, release };
}
