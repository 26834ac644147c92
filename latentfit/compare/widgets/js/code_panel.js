/** Text to copy: a button and the panel that it opens. */
import { button, make } from "./dom.js";

/** @typedef {import("./types.d.ts").Common} Common */

const COPIED_MS = 1500;

/**
 * Put text on the clipboard; false where the page has none, as one from disk may.
 *
 * @param {string} text
 */
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

/**
 * A button that says for a moment what came of it.
 *
 * @param {HTMLButtonElement} target
 * @param {string} text
 */
function sayOn(target, text) {
  const before = target.dataset.text ?? target.textContent ?? "";
  target.dataset.text = before;
  target.textContent = text;
  setTimeout(() => {
    target.textContent = before;
  }, COPIED_MS);
}

/** A box with text to copy. */
export class CodePanel {
  constructor() {
    this.text = make("pre", { class: "lf-code", tabindex: 0, role: "region", "aria-label": "Text to copy" });
    this.copy = button("Copy", "Copy this text", () => this.#copy());
    this.panel = make("div", { class: "lf-codepanel", hidden: true }, this.text, this.copy);
  }

  /** @param {string} words */
  put(words) {
    this.text.textContent = words;
  }

  /**
   * Copy text at once; where the page has no clipboard, show it, selected. The button says which.
   *
   * @param {string} words
   * @param {HTMLButtonElement} target
   */
  async offer(words, target) {
    this.put(words);
    const isCopied = await copied(words);
    this.panel.hidden = isCopied;
    if (!isCopied) this.select();
    sayOn(target, isCopied ? "Copied" : "Selected below");
  }

  select() {
    getSelection()?.selectAllChildren(this.text); // no clipboard on a page from disk: select, so that Ctrl+C takes it
  }

  async #copy() {
    const isCopied = await copied(this.text.textContent ?? "");
    if (!isCopied) this.select();
    sayOn(this.copy, isCopied ? "Copied" : "Selected");
  }
}

/** "Code": Python that makes the view again. */
export class Code {
  /** @param {() => string | Promise<string>} ask */
  constructor(ask) {
    this.ask = ask;
    this.box = new CodePanel();
    this.panel = this.box.panel;
    this.toggle = button("Code", "Python that makes this view again", () => this.#turn(), { "aria-expanded": false });
  }

  #turn() {
    this.panel.hidden = !this.panel.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.panel.hidden));
    this.refresh();
  }

  async refresh() {
    if (!this.panel.hidden) this.box.put(await this.ask());
  }
}

/**
 * How a widget asks its code: of the kernel where there is one, else of its data; null where there is none.
 *
 * @param {Common} data
 * @param {() => Record<string, unknown>} values
 */
export function codeOf(data, values = () => ({})) {
  const { code, live } = data;
  if (live) return new Code(() => live.question("code", values()));
  if (!code) return null;
  return new Code(() => {
    const known = values();
    return code.replace(/\{(\w+)\}/g, (all, name) => (name in known ? JSON.stringify(known[name]) : all));
  });
}
