/** The pictures to choose from, and a place to drop one's own. */
import { make } from "../dom.js";
import { Picture } from "../picture.js";
import { badge } from "./badge.js";

/** @typedef {import("../types.d.ts").WorkbenchPicture} WorkbenchPicture */

const MOST_DROPPED = 64 << 20;
const INVITATION = "Drop a picture here, or choose one";
const INVITED = "A picture of yours: it is encoded by the VAE";

export class Strip {
  /** @type {HTMLElement[]} */
  #tiles = [];
  #chosen = 0;
  #isBroughtIn = false;
  /** @type {HTMLElement | null} */
  #drop = null;
  #words = make("span", { class: "lf-dropwords" }, INVITATION);

  /**
   * @param {{ onchoose: (at: number) => void, send: ((name: string, blob: ArrayBuffer) => void) | null, el: HTMLElement, signal: AbortSignal }} given
   */
  constructor({ onchoose, send, el, signal }) {
    this.onchoose = onchoose;
    this.list = make("div", {
      class: "lf-tiles",
      role: "listbox",
      "aria-label": "Pictures",
      "aria-orientation": "horizontal",
    });
    this.list.addEventListener("keydown", (event) => this.#walk(event));
    this.element = make("div", { class: "lf-strip" }, this.list);
    const laidOut = new ResizeObserver(() => this.#isBroughtIn || this.#bringIn());
    laidOut.observe(this.list);
    signal.addEventListener("abort", () => laidOut.disconnect());
    if (send) this.#takeDrops(el, send, signal);
  }

  /** @param {WorkbenchPicture[]} pictures */
  fill(pictures) {
    this.#tiles = pictures.map((picture, at) => this.#tile(picture, at));
    this.list.replaceChildren(...this.#tiles);
    this.element.hidden = pictures.length < 2 && !this.#drop;
  }

  /**
   * @param {WorkbenchPicture} picture
   * @param {number} at
   */
  #tile(picture, at) {
    const thumb = new Picture(picture.thumb);
    const frame = make("span", { class: "lf-thumb" });
    thumb.ready.then(() => frame.prepend(thumb.canvas ?? "?"));
    const mark = badge(picture.standing);
    if (mark) frame.append(mark);
    const name = make("span", { class: "lf-tilename" }, picture.name.split("/").pop());
    const choose = () => this.onchoose(at);
    return make(
      "button",
      { type: "button", class: "lf-tile", role: "option", title: picture.name, onclick: choose },
      frame,
      name,
    );
  }

  /** @param {number} at */
  choose(at) {
    this.#chosen = at;
    this.#tiles.forEach((tile, index) => {
      tile.setAttribute("aria-selected", String(index === at));
      tile.tabIndex = index === at ? 0 : -1; // Tab goes to the chosen one, arrows from there
    });
    this.#bringIn();
  }

  /**
   * Arrow keys choose the picture beside, Home and End the first and the last.
   *
   * @param {KeyboardEvent} event
   */
  #walk(event) {
    const last = this.#tiles.length - 1;
    const at = this.#chosen;
    /** @type {Record<string, number>} */
    const places = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last };
    const to = places[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to !== at) this.onchoose(to);
    this.#tiles[to].focus({ preventScroll: true });
  }

  /** Scroll the strip, and nothing else, until the chosen tile is seen. */
  #bringIn() {
    const { list } = this;
    const tile = this.#tiles[this.#chosen];
    if (!tile || !list.clientWidth) return; // a notebook attaches a widget after it is made
    this.#isBroughtIn = true;
    const from = tile.offsetLeft - list.offsetLeft;
    const to = from + tile.offsetWidth;
    if (from < list.scrollLeft) list.scrollLeft = from - 9;
    else if (to > list.scrollLeft + list.clientWidth) list.scrollLeft = to + 9 - list.clientWidth;
  }

  // ---- dropped pictures

  /**
   * @param {HTMLElement} el
   * @param {(name: string, blob: ArrayBuffer) => void} send
   * @param {AbortSignal} signal
   */
  #takeDrops(el, send, signal) {
    const take = async (/** @type {Iterable<File>} */ files) => {
      for (const file of files) {
        if (file.size > MOST_DROPPED) {
          this.say(`${file.name}: ${(file.size / 2 ** 20).toFixed(0)} MiB, at most ${MOST_DROPPED >> 20} MiB`, true);
          continue;
        }
        this.say(`${file.name} …`);
        send(file.name, await file.arrayBuffer());
      }
    };
    const file = make("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Picture file" });
    file.addEventListener("change", () => {
      take([...(file.files ?? [])]);
      file.value = ""; // the same file may be chosen again
    });
    this.#drop = make(
      "button",
      { type: "button", class: "lf-drop", title: INVITED, onclick: () => file.click() },
      this.#words,
    );
    this.element.append(this.#drop, file);
    const over = (/** @type {DragEvent} */ event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      el.classList.toggle("lf-over", event.type !== "dragleave" && event.type !== "drop");
      if (event.type === "drop") take([...(event.dataTransfer?.files ?? [])]);
    };
    el.addEventListener("dragenter", over, { signal });
    el.addEventListener("dragover", over, { signal });
    el.addEventListener("dragleave", over, { signal });
    el.addEventListener("drop", over, { signal });
  }

  /**
   * @param {string} text
   * @param {boolean} hasFailed
   */
  say(text, hasFailed = false) {
    this.#words.textContent = text || INVITATION;
    if (!this.#drop) return;
    this.#drop.title = text || INVITED;
    this.#drop.classList.toggle("lf-failed", hasFailed);
  }
}
