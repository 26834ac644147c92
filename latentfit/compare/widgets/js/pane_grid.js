/** Several panes beside each other, 8 CSS pixels apart, zoomed and panned in step. */
import { make } from "./dom.js";
import { Pane } from "./pane.js";
import { View } from "./view.js";

/** @typedef {import("./view.js").Pair} Pair */

export const GAP_PX = 8;
const LEAST_PANE_PX = 150;

/**
 * Into how many columns panes go: their pictures as large as can be, and all of them in sight where that is possible.
 *
 * @param {number} n
 * @param {Pair} room CSS pixels across, and down
 * @param {number} aspect width by height of a picture
 * @param {number} below CSS pixels under each picture
 */
export function columnsOf(n, [wide, tall], aspect, below = 0) {
  let best = { columns: 1, width: 0, worth: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const across = Math.floor((wide - (columns - 1) * GAP_PX) / columns);
    if (columns > 1 && across < LEAST_PANE_PX) break;
    const width = Math.min(across, Math.floor(aspect * tall));
    const down = Math.ceil(n / columns) * (width / aspect + below + GAP_PX);
    const worth = width * Math.min(1, tall / down) ** 1.5; // what must be scrolled to is worth less
    if (worth > best.worth) best = { columns, width, worth };
  }
  return best;
}

export class PaneGrid {
  view = new View();
  /** @type {Pane[]} */
  panes = [];
  /** @type {HTMLElement[]} */
  captions = [];
  #ender = new AbortController();

  /**
   * @param {{ height?: number | null, smooth?: boolean, within: HTMLElement, room: () => number, signal: AbortSignal, below?: number }} options
   */
  constructor({ height, smooth, within, room, signal, below = 0 }) {
    this.below = below;
    this.height = height;
    this.smooth = smooth ?? true;
    this.within = within;
    this.room = room;
    this.element = make("div", { class: "lf-panes" });
    signal.addEventListener("abort", () => this.#ender.abort());
    const observer = new ResizeObserver(() => this.layOut());
    observer.observe(within);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  /**
   * So many panes.
   *
   * @param {number} n
   */
  count(n) {
    if (n === this.panes.length) return;
    this.#ender.abort();
    this.#ender = new AbortController();
    this.element.replaceChildren();
    this.captions = [];
    this.panes = Array.from({ length: n }, () => {
      const host = make("div", { class: "lf-cellbox" });
      const caption = make("div", { class: "lf-caption" });
      this.captions.push(caption);
      this.element.append(host);
      const pane = new Pane(host, {
        view: this.view,
        height: this.height,
        smooth: this.smooth,
        divided: false,
        within: this.within,
        room: () => this.across,
        signal: this.#ender.signal,
      });
      host.append(caption);
      return pane;
    });
    this.layOut();
  }

  get #layout() {
    const [pane] = this.panes;
    const aspect = pane ? pane.grid[0] / pane.grid[1] : 1;
    return columnsOf(this.panes.length, [Math.max(1, this.room()), pane?.mostHigh ?? 400], aspect, this.below);
  }

  get columns() {
    return this.#layout.columns;
  }

  /** CSS pixels that a pane may take across. */
  get across() {
    return Math.max(1, this.#layout.width);
  }

  layOut() {
    if (!this.panes.length || !this.within.clientWidth) return;
    for (const pane of this.panes) pane.resize();
    const width = Math.max(...this.panes.map((pane) => pane.cssWidth));
    this.element.style.gridTemplateColumns = `repeat(${this.#layout.columns}, ${width}px)`;
  }

  reset() {
    this.view.reset();
  }
}
