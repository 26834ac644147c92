/** Several panes beside each other, 8 CSS pixels apart, zoomed and panned in step. */
import { make } from "./dom.js";
import { Pane } from "./pane.js";
import { View } from "./view.js";

/** @typedef {import("./view.js").Pair} Pair */

export const GAP_PX = 8;
const LEAST_PANE_PX = 150;

/**
 * Into how many columns panes go so that their pictures are largest, and how wide each may be.
 *
 * @param {number} n
 * @param {Pair} room CSS pixels across, and down for each row
 * @param {number} aspect width by height of a picture
 */
export function columnsOf(n, [wide, tall], aspect) {
  let best = { columns: 1, width: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const across = Math.floor((wide - (columns - 1) * GAP_PX) / columns);
    if (columns > 1 && across < LEAST_PANE_PX) break;
    const rows = Math.ceil(n / columns);
    const width = Math.min(across, (aspect * (tall - (rows - 1) * GAP_PX)) / Math.min(rows, 2));
    if (width > best.width + 1) best = { columns, width };
  }
  return {
    columns: best.columns,
    across: Math.floor((wide - (best.columns - 1) * GAP_PX) / best.columns),
    width: best.width,
  };
}

export class PaneGrid {
  view = new View();
  /** @type {Pane[]} */
  panes = [];
  /** @type {HTMLElement[]} */
  captions = [];
  #ender = new AbortController();

  /**
   * @param {{ height?: number | null, smooth?: boolean, within: HTMLElement, room: () => number, signal: AbortSignal }} options
   */
  constructor({ height, smooth, within, room, signal }) {
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
    return columnsOf(this.panes.length, [Math.max(1, this.room()), pane?.mostHigh ?? 400], aspect);
  }

  get columns() {
    return this.#layout.columns;
  }

  /** CSS pixels that a pane may take across. */
  get across() {
    const { across, width } = this.#layout;
    return Math.max(1, Math.min(across, Math.ceil(width)));
  }

  layOut() {
    if (!this.panes.length || !this.within.clientWidth) return;
    this.element.style.gridTemplateColumns = `repeat(${this.#layout.columns}, max-content)`;
    for (const pane of this.panes) pane.resize();
  }

  reset() {
    this.view.reset();
  }
}
