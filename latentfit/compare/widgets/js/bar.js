/** Below one or several panes: zoom buttons, smooth or pixels, and the values under the pointer. */
import { button, make } from "./dom.js";
import { placeOf } from "./view.js";

/**
 * @typedef {import("./pane.js").Pane} Pane
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./view.js").Pair} Pair
 */

const MOST_VALUES = 6;
const MOST_LETTERS = 16;

export class Bar {
  /** Picture pixel under the pointer. @type {Pair | null} */
  #last = null;
  /** @type {Pane[]} */
  panes = [];

  /**
   * @param {Pane[]} panes which share a view
   * @param {{ onsmooth?: (smooth: boolean) => void, onpoint?: (at: Pair | null) => void }} listeners
   */
  constructor(panes, { onsmooth, onpoint } = {}) {
    this.onpoint = onpoint;
    const zoomBy = (/** @type {number} */ step) => () => this.panes[0].zoomBy(step);
    this.percent = button("Fit", "Fit the picture into the pane (0)", () => this.panes[0].showAll());
    this.percent.classList.add("lf-zoom");
    this.smooth = button("Smooth", "Enlarge the smaller picture smoothly, or show its pixels", () => {
      const smooth = !this.panes[0].smooth;
      for (const each of this.panes) each.smooth = smooth;
      this.panes[0].view.draw();
      onsmooth?.(smooth);
      this.refresh();
    });
    this.readout = make("span", { class: "lf-readout" });
    this.element = make(
      "div",
      { class: "lf-bar" },
      make(
        "span",
        { class: "lf-group" },
        button("−", "Zoom out (−)", zoomBy(-1), { "aria-label": "Zoom out" }),
        this.percent,
        button("+", "Zoom in (+)", zoomBy(1), { "aria-label": "Zoom in" }),
      ),
      button("1:1", "A screen pixel for each picture pixel", () => this.panes[0].zoomTo(1)),
      this.smooth,
      this.readout,
    );
    this.over(panes);
  }

  /**
   * From now on for these panes.
   *
   * @param {Pane[]} panes
   */
  over(panes) {
    this.panes = panes;
    for (const each of panes) each.onmove = (at) => this.#moved(at);
  }

  /** Whether something is pointed at. */
  get isPointed() {
    return this.#last !== null;
  }

  /** @param {Pair | null} [at] */
  #moved(at) {
    if (at !== undefined) this.#last = at;
    this.refresh();
  }

  refresh() {
    const [pane] = this.panes;
    this.percent.textContent = pane.view.zoom ? `${+(100 * pane.zoom).toPrecision(3)} %` : "Fit";
    this.smooth.setAttribute("aria-pressed", String(pane.smooth));
    const sides = this.panes.flatMap((each) => (each.divided && !each.whole ? [each.left, each.right] : [each.left]));
    const pictures = sides.flatMap((picture) => (picture?.canvas ? [picture] : []));
    this.smooth.hidden = !pictures.some((picture) => {
      const place = placeOf([picture.width, picture.height], pane.grid);
      return picture.width !== place.width || picture.height !== place.height;
    });
    this.onpoint?.(this.#last);
    if (!this.#last) {
      const sizes = new Set(pictures.map((picture) => `${picture.width} × ${picture.height}`));
      this.readout.replaceChildren([...sizes].join(" and ") + (sizes.size ? " px" : ""));
      return;
    }
    const [column, row] = this.#last;
    const values = pictures
      .slice(0, MOST_VALUES)
      .map((picture) => this.#value(picture, column, row, pictures.length > 1));
    this.readout.replaceChildren(make("span", {}, `x ${column}  y ${row}`), ...values);
  }

  /**
   * @param {Picture} picture
   * @param {number} column
   * @param {number} row
   * @param {boolean} isNamed
   */
  #value(picture, column, row, isNamed) {
    const label = picture.label.length > MOST_LETTERS ? `${picture.label.slice(0, MOST_LETTERS)}…` : picture.label;
    const name = isNamed && label ? make("span", { class: "lf-valuename" }, label) : null;
    const place = placeOf([picture.width, picture.height], this.panes[0].grid);
    const source = this.panes[0].smooth ? picture.onGrid(place.width, place.height) : picture;
    const x = Math.floor(((column - place.x + 0.5) * source.width) / place.width);
    const y = Math.floor(((row - place.y + 0.5) * source.height) / place.height);
    if (x < 0 || y < 0 || x >= source.width || y >= source.height)
      return make("span", { class: "lf-value" }, name, make("b", {}, "–"));
    const at = y * source.width + x;
    const rgb = [...source.rgba.data.slice(4 * at, 4 * at + 3)];
    const swatch = make("i", { class: "lf-swatch", style: `background:rgb(${rgb.join(" ")})` });
    const words = picture.errors ? picture.errors.words(at) : rgb.join(" ");
    return make("span", { class: "lf-value" }, swatch, name, make("b", {}, words));
  }
}
