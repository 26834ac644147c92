/**
 * The line to a kernel.
 *
 * @typedef {import("./types.d.ts").Live} Live
 * @typedef {import("./types.d.ts").Message} Message
 * @typedef {import("./types.d.ts").Model} Model
 */

const PATIENCE_MS = 5000;
const CHUNK_BYTES = 2 << 20; // a server refuses messages of more than 10 MiB
const GONE = ["restarting", "autorestarting", "terminating", "dead"];
const SILENT =
  "The kernel does not answer: it is busy with another cell, or it has died. What is on the page stays; for more, wait, " +
  "or restart the kernel and run the cell again.";
const RESTARTED =
  "The kernel was restarted and no longer knows this widget. What is on the page stays; for more, run the cell again.";

/**
 * Questions with numbers, of each kind only the newest, and a word when nothing comes back.
 *
 * @implements {Live}
 */
export class Line {
  #number = 0;
  /** @type {Map<number, string>} */
  #open = new Map();
  /** @type {Map<string, [object, ArrayBuffer[]]>} */
  #next = new Map();
  /** @type {Map<number, (text: string) => void>} */
  #answers = new Map();
  #heard = performance.now();
  #isGone = false;

  /**
   * @param {Model} model
   * @param {(text: string) => void} say called with what is wrong, and with "" when nothing is
   * @param {AbortSignal} signal
   */
  constructor(model, say, signal) {
    this.model = model;
    this.say = say;
    const timer = setInterval(() => this.#listen(), 1000);
    signal.addEventListener("abort", () => clearInterval(timer));
    model.on("comm_live_status_update", () => this.#again());
    this.#watchKernel(signal);
  }

  /**
   * Jupyter says when a kernel goes; elsewhere silence must tell.
   *
   * @param {AbortSignal} signal
   */
  #watchKernel(signal) {
    const changed = this.model.widget_manager?.kernel?.statusChanged;
    if (!changed) return;
    const note = (/** @type {unknown} */ _, /** @type {string} */ status) => {
      if (!GONE.includes(status)) return;
      this.#isGone = true;
      this.say(RESTARTED);
    };
    changed.connect(note);
    signal.addEventListener("abort", () => changed.disconnect(note));
  }

  /**
   * @param {string} type
   * @param {object} payload
   * @param {ArrayBuffer[]} buffers
   */
  #post(type, payload, buffers = []) {
    const seq = ++this.#number;
    try {
      this.model.send({ type, seq, ...payload }, undefined, buffers);
    } catch {
      this.#silent();
    }
    if (!this.#open.size) this.#heard = Math.max(this.#heard, performance.now());
    this.#open.set(seq, type);
    return seq;
  }

  /**
   * Ask; while one of this kind is on its way, only the newest waits.
   *
   * @param {string} type
   * @param {object} payload
   * @param {ArrayBuffer[]} buffers
   */
  newest(type, payload, buffers = []) {
    if ([...this.#open.values()].includes(type)) this.#next.set(type, [payload, buffers]);
    else this.#post(type, payload, buffers);
  }

  /**
   * Ask, and promise the answer; what still waits is said before, so that the answer knows it.
   *
   * @param {string} type
   * @param {object} payload
   * @returns {Promise<string>}
   */
  question(type, payload) {
    this.#flush();
    const seq = this.#post(type, payload);
    return new Promise((resolve) => this.#answers.set(seq, resolve));
  }

  /**
   * Send a file in parts.
   *
   * @param {string} name
   * @param {ArrayBuffer} buffer
   */
  file(name, buffer) {
    const n_parts = Math.max(1, Math.ceil(buffer.byteLength / CHUNK_BYTES));
    const id = `${Date.now()}-${this.#number}`;
    for (let part = 0; part < n_parts; part++)
      this.#post("file", { name, id, part, n_parts }, [buffer.slice(part * CHUNK_BYTES, (part + 1) * CHUNK_BYTES)]);
  }

  /**
   * A message came: what was asked is heard.
   *
   * @param {Message} message
   */
  hear(message) {
    this.#heard = performance.now();
    this.#isGone = false;
    this.say("");
    if (message.type === "heard") {
      const type = this.#open.get(message.seq ?? 0) ?? "";
      this.#open.delete(message.seq ?? 0);
      const next = this.#next.get(type);
      if (next && ![...this.#open.values()].includes(type)) {
        this.#next.delete(type);
        this.#post(type, ...next);
      }
    }
    if (message.type === "answer") {
      this.#answers.get(message.to ?? 0)?.(message.text ?? "");
      this.#answers.delete(message.to ?? 0);
    }
  }

  #flush() {
    const waiting = [...this.#next];
    this.#next.clear();
    for (const [type, [payload, buffers]] of waiting) this.#post(type, payload, buffers);
  }

  /** The line went or came back: what was on its way may be lost, so ask once more whether anyone is there. */
  #again() {
    this.#open.clear();
    this.#flush();
    this.#post("ping", {});
  }

  #listen() {
    if (this.#open.size && performance.now() - this.#heard > PATIENCE_MS) this.#silent();
  }

  /** Nothing comes back; that a kernel was restarted says more. */
  #silent() {
    if (!this.#isGone) this.say(SILENT);
  }
}

/**
 * Binary parts of a message go back where they were: ["$", n] stands for the n-th.
 *
 * @param {any} value
 * @param {ArrayBufferView[]} buffers
 * @returns {any}
 */
export function withBuffers(value, buffers) {
  if (Array.isArray(value))
    return value.length === 2 && value[0] === "$" ? buffers[value[1]] : value.map((each) => withBuffers(each, buffers));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withBuffers(each, buffers)]));
  return value;
}
