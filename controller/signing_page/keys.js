// The person's key: made here, never to leave (non-extractable), kept in this browser's IndexedDB under this page's own origin.

import { hex, keyidOf } from "./dsse.js";

const DATABASE = "loa-signing";
const MINE = "mine";

function opened() {
  return new Promise((resolve, reject) => {
    const asked = indexedDB.open(DATABASE, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("keys");
      asked.result.createObjectStore("areas");
    };
    asked.onsuccess = () => resolve(asked.result);
    asked.onerror = () => reject(asked.error);
  });
}

async function within(store, mode, act) {
  const database = await opened();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(store, mode, { durability: "strict" });
      const asked = act(transaction.objectStore(store));
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = transaction.onerror = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** This browser's key: {person, name, public, keyid, key}, or undefined. */
export const mine = () => within("keys", "readonly", (store) => store.get(MINE));

/** Makes a key and keeps it; one that was there is replaced. */
export async function make(person, name) {
  const pair = await crypto.subtle.generateKey("Ed25519", false, ["sign", "verify"]);
  const publicHex = hex(await crypto.subtle.exportKey("raw", pair.publicKey));
  const kept = { person, name, public: publicHex, keyid: await keyidOf(publicHex), key: pair.privateKey };
  await within("keys", "readwrite", (store) => store.put(kept, MINE));
  if (navigator.storage?.persist) await navigator.storage.persist();
  return kept;
}

/** Forgets the key for good. */
export const forget = () => within("keys", "readwrite", (store) => store.delete(MINE));

/** The text of the .pub file for the ceremony, as `loa-provision key new` writes it. */
export const publicFile = (kept) =>
  `${JSON.stringify({ person: kept.person, name: kept.name, public: kept.public }, null, 2)}\n`;

/** A few letters to compare over the telephone. */
export const fingerprint = (kept) => kept.keyid.slice(0, 16).match(/.{4}/g).join(" ");

/** The name under which this browser signed for an area before, or undefined. */
export const rememberedArea = (area) => within("areas", "readonly", (store) => store.get(area));

/** Remembers the name of an area that was signed for. */
export const rememberArea = (area, name) => within("areas", "readwrite", (store) => store.put(name, area));
