/** One or two pictures on a canvas of screen pixels; with two, a line between them that can be moved. */
import { make, onFrame } from "./dom.js";
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
const GRASP_PX = 14; // from the line
const SWIPE_PX = 7; // of a finger, before it is known where it goes
const HINT_MS = 1800;
/** What a wheel is told that scrolls the page over a picture. */
function hintWords() {
  const key = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
  return `${key} and the wheel zoom; so does the wheel alone after a click into the picture`;
}

// A wheel that began to turn elsewhere scrolls the page on, over our panes too
let scrolledElsewhere = -Infinity;
let isWatched = false;
function watchScrolling() {
  if (isWatched) return;
  isWatched = true;
  const note = (/** @type {WheelEvent} */ event) => {
    const target = /** @type {Element | null} */ (event.target);
    if (!target?.closest?.(".lf-pane")) scrolledElsewhere = event.timeStamp;
  };
  window.addEventListener("wheel", note, { capture: true, passive: true });
}

export class Pane {
  /** @type {Map<number, Pair>} */
  #pointers = new Map();
  #wheel = 0;
  /** What the pointer does; "wait": a finger that may still scroll the page. @type {"" | "wait" | "line" | "pan" | "pinch"} */
  #drag = "";
  /** @type {Pair} */
  #pressed = [0, 0];
  #grab = 0;
  /** @type {Pair} */
  #size = [0, 0];
  #hintTimer = 0;
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
  /** A click went into the pane, so that the wheel is its own. */
  isActive = false;

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
    this.hint = make("div", { class: "lf-hint", "aria-hidden": "true" }, hintWords());
    this.element = make("div", { class: "lf-pane" }, this.canvas, this.leftSide.box);
    if (divided) this.element.append(this.rightSide.box, this.handle);
    else {
      this.element.tabIndex = 0;
      this.element.setAttribute("role", "group");
    }
    this.element.append(this.hint);
    host.append(this.element);
    this.draw = onFrame(() => this.#paint());
    view.panes.add(this);
    this.#listen(signal);
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
   * Screen pixel of an event, within the pane.
   *
   * @param {MouseEvent} event
   * @returns {Pair}
   */
  #at(event) {
    const box = this.element.getBoundingClientRect();
    return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
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
  #listen(signal) {
    watchScrolling();
    const { element } = this;
    element.addEventListener("pointerdown", (event) => this.#press(event), { signal });
    element.addEventListener("mousedown", (event) => event.preventDefault(), { signal }); // which would take the focus away
    element.addEventListener("pointermove", (event) => this.#move(event), { signal });
    element.addEventListener("pointerup", (event) => this.#release(event), { signal });
    element.addEventListener("pointercancel", (event) => this.#release(event), { signal });
    element.addEventListener("pointerleave", () => this.onmove?.(null), { signal });
    element.addEventListener("dblclick", () => this.reset(), { signal });
    element.addEventListener("wheel", (event) => this.#turn(event), { signal, passive: false });
    element.addEventListener("keydown", (event) => this.#key(event), { signal });
    element.addEventListener("focusout", () => this.activate(false), { signal });
    // two fingers are ours, one finger that goes up or down is the page's
    const both = (/** @type {TouchEvent} */ event) =>
      event.touches.length > 1 && event.cancelable && event.preventDefault();
    element.addEventListener("touchstart", both, { signal, passive: false });
    element.addEventListener("touchmove", both, { signal, passive: false });
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.within);
    signal.addEventListener("abort", () => observer.disconnect());
    window.addEventListener("resize", () => this.resize(), { signal }); // a window moved to another display, too
  }

  /** @param {boolean} isActive whether the wheel zooms */
  activate(isActive) {
    this.isActive = isActive;
    this.element.classList.toggle("lf-active", isActive);
    if (isActive) this.#hint(false);
  }

  /** @param {boolean} isShown */
  #hint(isShown) {
    clearTimeout(this.#hintTimer);
    this.element.classList.toggle("lf-hinting", isShown);
    if (isShown) this.#hintTimer = window.setTimeout(() => this.#hint(false), HINT_MS);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    (this.divided && !this.whole ? this.handle : this.element).focus({ preventScroll: true });
    this.activate(true);
    const place = this.#at(event);
    this.#pointers.set(event.pointerId, place);
    this.#pressed = place;
    if (this.#pointers.size === 2) {
      this.#begin("pinch");
      this.#wheel = 0;
    } else if (event.pointerType === "touch") this.#begin("wait");
    else this.#grasp(place);
  }

  /** @param {"" | "wait" | "line" | "pan" | "pinch"} drag */
  #begin(drag) {
    this.#drag = drag;
    this.element.classList.toggle("lf-drag-line", drag === "line");
    this.element.classList.toggle("lf-drag-pan", drag === "pan");
  }

  /**
   * Take the line, or the picture.
   *
   * @param {Pair} place
   */
  #grasp([x]) {
    const split = (this.position / 100) * this.#size[0];
    const hasLine = this.divided && !this.whole;
    const isNear = hasLine && Math.abs(x - split) <= GRASP_PX * this.ratio;
    this.#begin(isNear || (hasLine && !this.canPan) ? "line" : "pan");
    this.#grab = isNear ? split - x : 0;
    if (this.#drag === "line" && !isNear) this.moveTo((100 * x) / this.#size[0]);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const place = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before) {
      if (this.#drag === "wait") this.#wait(place);
      if (this.#drag === "pinch") this.#pinch(event.pointerId, before, place);
      else if (this.#drag === "line") this.moveTo((100 * (place[0] + this.#grab)) / this.#size[0]);
      else if (this.#drag === "pan") this.pan(place[0] - before[0], place[1] - before[1]);
      this.#pointers.set(event.pointerId, place);
    }
    this.onmove?.(this.pixelAt(...place));
  }

  /**
   * A finger that goes mostly sideways takes the line; one that goes up or down scrolls the page, and takes nothing.
   *
   * @param {Pair} place
   */
  #wait(place) {
    const [across, down] = [0, 1].map((axis) => Math.abs(place[axis] - this.#pressed[axis]));
    if (Math.max(across, down) < SWIPE_PX * this.ratio) return;
    if (across > 1.2 * down) this.#grasp(this.#pressed);
    else this.#begin("");
  }

  /**
   * @param {number} id
   * @param {Pair} before
   * @param {Pair} place
   */
  #pinch(id, before, place) {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const spread = (/** @type {Pair} */ from) => Math.hypot(from[0] - other[0], from[1] - other[1]) || 1;
    this.#wheel += Math.log2(spread(place) / spread(before));
    /** @type {Pair} */
    const middle = [(place[0] + other[0]) / 2, (place[1] + other[1]) / 2];
    this.pan((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
    while (Math.abs(this.#wheel) > 0.35) {
      const step = Math.sign(this.#wheel);
      this.#wheel -= 0.35 * step;
      if (!this.zoomBy(step, middle)) break;
    }
  }

  /** @param {PointerEvent} event */
  #release(event) {
    this.#pointers.delete(event.pointerId);
    this.#begin("");
  }

  /** @param {WheelEvent} event */
  #turn(event) {
    const isOurs = event.ctrlKey || event.metaKey;
    if (!isOurs && (!this.isActive || event.timeStamp - scrolledElsewhere < 250)) {
      if (this.isActive) scrolledElsewhere = event.timeStamp;
      else this.#hint(true);
      return; // the page scrolls
    }
    const delta = -event.deltaY * (event.deltaMode === 1 ? 33 : 1) * (event.ctrlKey ? 6 : 1);
    if (!isOurs && delta < 0 && this.zoom <= this.fitted + 1e-6) return; // nothing to zoom out of: the page scrolls on
    event.preventDefault();
    this.#wheel = Math.sign(delta) === Math.sign(this.#wheel) ? this.#wheel + delta : delta;
    if (Math.abs(this.#wheel) < 50) return;
    this.zoomBy(Math.sign(this.#wheel), this.#at(event));
    this.#wheel = 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.metaKey || event.ctrlKey) return;
    const far = event.shiftKey ? 10 : 1;
    const pan = 40 * this.ratio * far;
    /** @type {Record<string, Pair>} */
    const pans = { ArrowLeft: [pan, 0], ArrowRight: [-pan, 0], ArrowUp: [0, pan], ArrowDown: [0, -pan] };
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, PageDown: -10, PageUp: 10 };
    const hasLine = this.divided && !this.whole;
    const { key } = event;
    if (key === "+" || key === "=") this.zoomBy(1);
    else if (key === "-" || key === "_") this.zoomBy(-1);
    else if (key === "0") this.showAll();
    else if (key === "Escape" && this.isActive) this.activate(false);
    else if (key in pans && (event.altKey || !hasLine)) this.pan(...pans[key]);
    else if (hasLine && key in moves) this.moveTo(Math.round(this.position) + moves[key]);
    else if (hasLine && key === "Home") this.moveTo(0);
    else if (hasLine && key === "End") this.moveTo(100);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
