// Reads JSON as the protocol does, only stricter: whole numbers, no repeated names, NFC text, bounded depth. Pure.

/** What was read breaks the protocol. `code` is the protocol's own. */
export class Malformed extends Error {
  constructor(sentence, code = "malformed") {
    super(sentence);
    this.code = code;
  }
}

const DEEPEST = 16;
const MAX_NUMBER = 2 ** 53 - 1;
const SHORT = { '"': '"', "\\": "\\", "/": "/", b: "\b", f: "\f", n: "\n", r: "\r", t: "\t" };
const LONE_SURROGATE = /[\uD800-\uDBFF](?![\uDC00-\uDFFF])|(?<![\uD800-\uDBFF])[\uDC00-\uDFFF]/;

/** The text of bytes that are UTF-8 and nothing else. */
export function textOf(bytes) {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed("not UTF-8");
  }
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
  }

  fail(what) {
    throw new Malformed(`${what} at letter ${this.at}`);
  }

  space() {
    while (" \t\n\r".includes(this.text[this.at]) && this.at < this.text.length) this.at += 1;
  }

  take(letter) {
    if (this.text[this.at] !== letter) this.fail(`no ${letter}`);
    this.at += 1;
  }

  value(depth) {
    if (depth > DEEPEST) this.fail("too deep");
    this.space();
    const letter = this.text[this.at];
    let found;
    if (letter === "{") found = this.object(depth);
    else if (letter === "[") found = this.array(depth);
    else if (letter === '"') found = this.string();
    else found = this.plain();
    this.space();
    return found;
  }

  object(depth) {
    const found = new Map();
    this.take("{");
    this.space();
    while (this.text[this.at] !== "}") {
      if (found.size) this.take(",");
      this.space();
      const name = this.string();
      if (found.has(name)) this.fail(`${name} twice`);
      this.space();
      this.take(":");
      found.set(name, this.value(depth + 1));
    }
    this.take("}");
    return found;
  }

  array(depth) {
    const found = [];
    this.take("[");
    this.space();
    while (this.text[this.at] !== "]") {
      if (found.length) this.take(",");
      found.push(this.value(depth + 1));
    }
    this.take("]");
    return found;
  }

  string() {
    let found = "";
    this.take('"');
    for (;;) {
      const letter = this.text[this.at];
      if (letter === undefined || letter < " ") this.fail("a text that does not end");
      this.at += 1;
      if (letter === '"') break;
      found += letter === "\\" ? this.escaped() : letter;
    }
    if (LONE_SURROGATE.test(found)) this.fail("half a letter");
    if (found.normalize("NFC") !== found) this.fail("text that is not NFC");
    return found;
  }

  escaped() {
    const letter = this.text[this.at];
    this.at += 1;
    if (letter === "u") {
      const digits = this.text.slice(this.at, this.at + 4);
      if (!/^[0-9a-fA-F]{4}$/.test(digits)) this.fail("a broken escape");
      this.at += 4;
      return String.fromCharCode(parseInt(digits, 16));
    }
    if (!Object.hasOwn(SHORT, letter)) this.fail("a broken escape");
    return SHORT[letter];
  }

  plain() {
    for (const [word, value] of [["true", true], ["false", false], ["null", null]]) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = /^-?(0|[1-9][0-9]*)(?![0-9.eE])/.exec(this.text.slice(this.at, this.at + 24));
    if (!number || Math.abs(Number(number[0])) > MAX_NUMBER) this.fail("no whole number");
    this.at += number[0].length;
    return Number(number[0]);
  }
}

/** The value of JSON text; objects become Maps. Throws Malformed. */
export function parse(text) {
  const reader = new Reader(text);
  const found = reader.value(0);
  if (reader.at !== text.length) reader.fail("something behind the end");
  return found;
}
