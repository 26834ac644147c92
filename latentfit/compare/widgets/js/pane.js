/** One or two pictures on a canvas of screen pixels; with two, a line between them that can be moved. */
import { make, onFrame } from "./dom.js";
import { Gestures } from "./gestures.js";
import { clamp } from "./numbers.js";
import { fitZoom, middleWithin, nextStop, placeOf, View } from "./view.js";

/**
 * @typedef {import("./picture.js").Picture} Picture
 * @typedef {import("./view.js").Pair} Pair
 * @typedef {{ box: HTMLElement, tag: HTMLElement, name: HTMLElement, note: HTMLElement, reason: HTMLElement }} Side
 * @typedef {object} Options
 * @property {View} [view] shared by panes that are zoomed in step
 * @property {number | null} [height] most CSS pixels; absent: what the window's height allows
 * @property {boolean} [smooth]
 * @property {boolean} [divided] whether there are two pictures and a line
 * @property {number} [position] of the line, in percent of the width
 * @property {(position: number) => void} [onposition]
 * @property {AbortSignal} signal
 * @property {HTMLElement | null} [stage] is made as wide as the pane
 * @property {HTMLElement} [within] whose changes of size the pane follows
 * @property {() => number} [room] CSS pixels that the pane may take across
 */

const LEAST_STAGE_PX = 350; // below a small picture the buttons still stand in a line
const WINDOW_SHARE = 0.82; // of the window's height
export class Pane {
  /** @type {Pair} */
  #size = [0, 0];
  /** As of the last resize: while a theme loads there is no room for a moment, and what is painted then stays. */
  fitted = 1;
  /** @type {Picture | null} */
  left = null;
  /** @type {Picture | null} */
  right = null;
  /** Called with the picture pixel under the pointer, null outside, undefined where it is not known anew.
   * @type {((at?: Pair | null) => void) | null} */
  onmove = null;
  /** @type {Pair} */
  grid = [1, 1];
  /** The grid of pixels that pictures are put on, where it is not the larger one's. @type {Pair | null} */
  wantedGrid = null;
  /** Both sides are one picture: no line. */
  whole = false;
  /** Where that is for a moment: the line keeps the focus, unseen. */
  keepsHandle = false;

  /**
   * @param {HTMLElement} host
   * @param {Options} options
   */
  constructor(
    host,
    { view = new View(), height, smooth, divided = true, position, onposition, signal, stage, within, room },
  ) {
    this.view = view;
    this.most = height || Infinity;
    this.smooth = smooth ?? true;
    this.divided = divided;
    this.position = position ?? 50;
    this.onposition = onposition;
    this.stage = stage ?? null;
    this.within = within ?? host;
    this.room = room ?? (() => this.within.clientWidth);
    this.canvas = make("canvas", { class: "lf-canvas", role: "img", "aria-label": "no picture yet" });
    this.leftSide = this.#side("left");
    this.rightSide = this.#side("right");
    this.handle = make(
      "div",
      {
        class: "lf-handle",
        role: "slider",
        tabindex: 0,
        "aria-valuemin": 0,
        "aria-valuemax": 100,
        "aria-valuenow": 50,
      },
      make("span", { class: "lf-knob" }),
    );
    this.handle.setAttribute("aria-label", "Line between left and right");
    this.element = make("div", { class: "lf-pane" }, this.canvas, this.leftSide.box);
    if (divided) this.element.append(this.rightSide.box, this.handle);
    else {
      this.element.tabIndex = 0;
      this.element.setAttribute("role", "group");
    }
    host.append(this.element);
    this.draw = onFrame(() => this.#paint());
    view.panes.add(this);
    this.#follow(signal);
    new Gestures(this, signal);
    signal.addEventListener("abort", () => view.panes.delete(this));
  }

  /**
   * @param {"left" | "right"} which
   * @returns {Side}
   */
  #side(which) {
    const name = make("b");
    const note = make("small");
    const reason = make("p", { class: "lf-reason" });
    const tag = make("span", { class: "lf-tag" }, name, note);
    return { box: make("div", { class: `lf-side lf-${which}` }, tag, reason), tag, name, note, reason };
  }

  /**
   * @param {Picture | null} left
   * @param {Picture | null} right
   */
  show(left, right = null) {
    this.left = left;
    this.right = right;
    /** @type {Pair} */
    let largest = [0, 0];
    for (const picture of [left, right])
      if (picture?.canvas && picture.width * picture.height > largest[0] * largest[1])
        largest = [picture.width, picture.height];
    if (this.wantedGrid || largest[0]) this.grid = this.wantedGrid ?? largest; // a reason's pane is as large as the others
    this.#caption(this.leftSide, left, false);
    this.#caption(this.rightSide, right, this.whole);
    const sides = [left, right].map((picture) => picture?.label || "");
    const between = `Line between ${sides[0] || "left"} and ${sides[1] || "right"}`;
    this.handle.setAttribute("aria-label", between);
    this.describe(
      this.divided && !this.whole
        ? `${sides[0] || "One picture"} on the left, ${sides[1] || "another"} on the right of a line`
        : sides[0],
    );
    this.resize();
  }

  /**
   * A sentence for who does not see the canvas.
   *
   * @param {string} sentence
   */
  describe(sentence) {
    this.canvas.setAttribute("aria-label", sentence || "a picture");
    if (!this.divided) this.element.setAttribute("aria-label", sentence || "a picture");
  }

  /**
   * @param {Side} side
   * @param {Picture | null} picture
   * @param {boolean} isSame as the other side
   */
  #caption(side, picture, isSame) {
    side.name.textContent = picture?.label ?? "";
    side.note.textContent = picture?.note ?? "";
    side.tag.hidden = (!picture?.label && !picture?.note) || isSame;
    side.reason.textContent = picture?.reason ?? "";
    side.reason.hidden = !picture?.reason || isSame;
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  get zoom() {
    return this.view.zoom || this.fitted;
  }

  /** Screen pixels across and down. */
  get size() {
    return this.#size;
  }

  /** Whether a line can be moved. */
  get hasLine() {
    return this.divided && !this.whole;
  }

  /** CSS pixels that the pane takes across. */
  get cssWidth() {
    return this.#size[0] / this.ratio;
  }

  /** CSS pixels that the pane may be high. */
  get mostHigh() {
    return Math.min(this.most, Math.max(200, WINDOW_SHARE * window.innerHeight));
  }

  resize() {
    if (!this.within.clientWidth) return; // not laid out, as in a closed fold
    const ratio = this.ratio;
    const wide = Math.max(1, this.room()) * ratio;
    const tall = this.mostHigh * ratio;
    const zoom = fitZoom([wide, tall], this.grid);
    this.fitted = zoom;
    const width = clamp(Math.round(this.grid[0] * zoom), Math.min(wide, 240 * ratio), wide);
    const height = clamp(Math.round(this.grid[1] * zoom), Math.min(tall, 120 * ratio), tall);
    this.#size = [Math.floor(width), Math.floor(height)];
    this.element.style.width = `${this.#size[0] / ratio}px`;
    this.element.style.height = `${this.#size[1] / ratio}px`;
    if (this.stage)
      this.stage.style.width = `${Math.max(this.#size[0] / ratio, Math.min(LEAST_STAGE_PX, this.room()))}px`;
    this.draw();
  }

  /**
   * Screen pixel at which the picture begins: whole, so that picture pixels are whole too.
   *
   * @param {number} zoom
   * @returns {Pair}
   */
  #origin(zoom) {
    const along = (/** @type {0 | 1} */ axis) => {
      const extent = this.grid[axis] * zoom;
      const room = this.#size[axis];
      if (extent <= room) return Math.floor((room - extent) / 2);
      return Math.round(clamp(room / 2 - [this.view.x, this.view.y][axis] * extent, room - extent, 0));
    };
    return [along(0), along(1)];
  }

  get canPan() {
    return this.grid.some((length, axis) => length * this.zoom > this.#size[axis] + 0.5);
  }

  #paint() {
    const [width, height] = this.#size;
    if (!width) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d");
    if (!context) return;
    const split = this.divided ? Math.round((this.position / 100) * width) : width;
    context.clearRect(0, 0, width, height);
    this.#paintSide(context, this.left, 0, split);
    if (this.divided) this.#paintSide(context, this.right, split, width);
    this.element.style.setProperty("--lf-split", `${split / this.ratio}px`);
    this.element.classList.toggle("lf-pannable", this.canPan);
    this.handle.hidden = this.whole && !this.keepsHandle;
    this.handle.classList.toggle("lf-unseen", this.whole);
    this.handle.setAttribute("aria-valuenow", String(Math.round(this.position)));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.position)} %`);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Picture | null} picture
   * @param {number} from
   * @param {number} to
   */
  #paintSide(context, picture, from, to) {
    if (!picture?.canvas || to <= from) return;
    const zoom = this.zoom;
    const place = placeOf([picture.width, picture.height], this.grid);
    const origin = this.#origin(zoom);
    const x0 = origin[0] + zoom * place.x;
    const y0 = origin[1] + zoom * place.y;
    const shown = (this.smooth ? picture.onGrid(place.width, place.height) : picture).canvas;
    if (!shown) return;
    const zx = (place.width * zoom) / shown.width;
    const zy = (place.height * zoom) / shown.height;
    const resampled = !Number.isInteger(zoom);
    const sx = resampled ? 0 : clamp(Math.floor((from - x0) / zx), 0, shown.width);
    const sy = resampled ? 0 : clamp(Math.floor(-y0 / zy), 0, shown.height);
    const wide = resampled ? shown.width : clamp(Math.ceil((to - x0) / zx), 0, shown.width) - sx;
    const high = resampled ? shown.height : clamp(Math.ceil((this.#size[1] - y0) / zy), 0, shown.height) - sy;
    if (wide <= 0 || high <= 0) return;
    context.save();
    context.beginPath();
    context.rect(from, 0, to - from, this.#size[1]);
    context.clip();
    context.imageSmoothingEnabled = resampled;
    context.imageSmoothingQuality = "high";
    context.drawImage(shown, sx, sy, wide, high, x0 + sx * zx, y0 + sy * zy, wide * zx, high * zy);
    context.restore();
  }

  /**
   * Picture pixel under a screen pixel, or null outside.
   *
   * @param {number} x
   * @param {number} y
   * @returns {Pair | null}
   */
  pixelAt(x, y) {
    const zoom = this.zoom;
    const [x0, y0] = this.#origin(zoom);
    const column = Math.floor((x - x0) / zoom);
    const row = Math.floor((y - y0) / zoom);
    return column >= 0 && row >= 0 && column < this.grid[0] && row < this.grid[1] ? [column, row] : null;
  }

  /**
   * One step in (1) or out (-1), keeping what lies under a screen pixel; false where there is no further step.
   *
   * @param {number} step
   * @param {Pair} [at]
   */
  zoomBy(step, at) {
    const next = nextStop(step, this.zoom, this.fitted);
    return next !== undefined && this.zoomTo(next, at);
  }

  /**
   * To so many screen pixels per picture pixel.
   *
   * @param {number} next
   * @param {Pair} at
   */
  zoomTo(next, at = [this.#size[0] / 2, this.#size[1] / 2]) {
    const now = this.zoom;
    if (Math.abs(next - now) < 1e-6) return false;
    const origin = this.#origin(now);
    const middle = (/** @type {0 | 1} */ axis) => {
      const held = (at[axis] - origin[axis]) / now;
      return (this.#size[axis] / 2 - at[axis] + held * next) / (this.grid[axis] * next);
    };
    this.#look(Math.abs(next - this.fitted) < 1e-6 ? 0 : next, [middle(0), middle(1)]);
    return true;
  }

  /**
   * @param {number} zoom
   * @param {Pair} middle
   */
  #look(zoom, [x, y]) {
    const shown = zoom || this.fitted;
    const [wide, high] = this.#size;
    Object.assign(this.view, {
      zoom,
      x: middleWithin(x, wide, this.grid[0] * shown),
      y: middleWithin(y, high, this.grid[1] * shown),
    });
    this.view.draw();
    this.onmove?.();
  }

  /**
   * @param {number} dx
   * @param {number} dy
   */
  pan(dx, dy) {
    const zoom = this.zoom;
    this.#look(this.view.zoom, [this.view.x - dx / (this.grid[0] * zoom), this.view.y - dy / (this.grid[1] * zoom)]);
  }

  /** @param {number} position */
  moveTo(position) {
    const next = clamp(position, 0, 100);
    if (next === this.position) return;
    this.position = next;
    this.draw();
    this.onposition?.(next);
  }

  reset() {
    this.view.reset();
    if (this.divided) this.moveTo(50);
    this.onmove?.();
  }

  /** All of the picture, the line where it is. */
  showAll() {
    this.view.reset();
    this.onmove?.();
  }

  /** @param {AbortSignal} signal */
  #follow(signal) {
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.within);
    signal.addEventListener("abort", () => observer.disconnect());
    window.addEventListener("resize", () => this.resize(), { signal }); // a window moved to another display, too
  }
}
