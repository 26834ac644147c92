/** Whom a pointer, the wheel and the keys belong to over a pane: the page, the line or the picture. */
import { make } from "./dom.js";

/**
 * @typedef {import("./pane.js").Pane} Pane
 * @typedef {import("./view.js").Pair} Pair
 */

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

export class Gestures {
  /** @type {Map<number, Pair>} */
  #pointers = new Map();
  #wheel = 0;
  /** What the pointer does; "wait": a finger that may still scroll the page. @type {"" | "wait" | "line" | "pan" | "pinch"} */
  #drag = "";
  /** @type {Pair} */
  #pressed = [0, 0];
  #grab = 0;
  #hintTimer = 0;
  /** A click went into the pane, so that the wheel is its own. */
  isActive = false;

  /**
   * @param {Pane} pane
   * @param {AbortSignal} signal
   */
  constructor(pane, signal) {
    this.pane = pane;
    pane.element.append(make("div", { class: "lf-hint", "aria-hidden": "true" }, hintWords()));
    this.#listen(signal);
  }

  /** @param {AbortSignal} signal */
  #listen(signal) {
    watchScrolling();
    const { element } = this.pane;
    element.addEventListener("pointerdown", (event) => this.#press(event), { signal });
    element.addEventListener("mousedown", (event) => event.preventDefault(), { signal }); // which would take the focus away
    element.addEventListener("pointermove", (event) => this.#move(event), { signal });
    element.addEventListener("pointerup", (event) => this.#release(event), { signal });
    element.addEventListener("pointercancel", (event) => this.#release(event), { signal });
    element.addEventListener("pointerleave", () => this.pane.onmove?.(null), { signal });
    element.addEventListener("dblclick", () => this.pane.reset(), { signal });
    element.addEventListener("wheel", (event) => this.#turn(event), { signal, passive: false });
    element.addEventListener("keydown", (event) => this.#key(event), { signal });
    element.addEventListener("focusout", () => this.activate(false), { signal });
    // two fingers are ours, one finger that goes up or down is the page's
    const both = (/** @type {TouchEvent} */ event) =>
      event.touches.length > 1 && event.cancelable && event.preventDefault();
    element.addEventListener("touchstart", both, { signal, passive: false });
    element.addEventListener("touchmove", both, { signal, passive: false });
  }

  /** @param {boolean} isActive whether the wheel zooms */
  activate(isActive) {
    this.isActive = isActive;
    this.pane.element.classList.toggle("lf-active", isActive);
    if (isActive) this.#hint(false);
  }

  /** @param {boolean} isShown */
  #hint(isShown) {
    clearTimeout(this.#hintTimer);
    this.pane.element.classList.toggle("lf-hinting", isShown);
    if (isShown) this.#hintTimer = window.setTimeout(() => this.#hint(false), HINT_MS);
  }

  /** @param {PointerEvent} event */
  #press(event) {
    if (event.button !== 0) return;
    this.pane.element.setPointerCapture(event.pointerId);
    (this.pane.hasLine ? this.pane.handle : this.pane.element).focus({ preventScroll: true });
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
    this.pane.element.classList.toggle("lf-drag-line", drag === "line");
    this.pane.element.classList.toggle("lf-drag-pan", drag === "pan");
  }

  /**
   * Take the line, or the picture.
   *
   * @param {Pair} place
   */
  #grasp([x]) {
    const split = (this.pane.position / 100) * this.pane.size[0];
    const { hasLine } = this.pane;
    const isNear = hasLine && Math.abs(x - split) <= GRASP_PX * this.pane.ratio;
    this.#begin(isNear || (hasLine && !this.pane.canPan) ? "line" : "pan");
    this.#grab = isNear ? split - x : 0;
    if (this.#drag === "line" && !isNear) this.pane.moveTo((100 * x) / this.pane.size[0]);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    const place = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before) {
      if (this.#drag === "wait") this.#wait(place);
      if (this.#drag === "pinch") this.#pinch(event.pointerId, before, place);
      else if (this.#drag === "line") this.pane.moveTo((100 * (place[0] + this.#grab)) / this.pane.size[0]);
      else if (this.#drag === "pan") this.pane.pan(place[0] - before[0], place[1] - before[1]);
      this.#pointers.set(event.pointerId, place);
    }
    this.pane.onmove?.(this.pane.pixelAt(...place));
  }

  /**
   * A finger that goes mostly sideways takes the line; one that goes up or down scrolls the page, and takes nothing.
   *
   * @param {Pair} place
   */
  #wait(place) {
    const [across, down] = [0, 1].map((axis) => Math.abs(place[axis] - this.#pressed[axis]));
    if (Math.max(across, down) < SWIPE_PX * this.pane.ratio) return;
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
    this.pane.pan((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
    while (Math.abs(this.#wheel) > 0.35) {
      const step = Math.sign(this.#wheel);
      this.#wheel -= 0.35 * step;
      if (!this.pane.zoomBy(step, middle)) break;
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
    if (!isOurs && delta < 0 && this.pane.zoom <= this.pane.fitted + 1e-6) return; // nothing to zoom out of: the page scrolls on
    event.preventDefault();
    this.#wheel = Math.sign(delta) === Math.sign(this.#wheel) ? this.#wheel + delta : delta;
    if (Math.abs(this.#wheel) < 50) return;
    this.pane.zoomBy(Math.sign(this.#wheel), this.#at(event));
    this.#wheel = 0;
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.metaKey || event.ctrlKey) return;
    const far = event.shiftKey ? 10 : 1;
    const pan = 40 * this.pane.ratio * far;
    /** @type {Record<string, Pair>} */
    const pans = { ArrowLeft: [pan, 0], ArrowRight: [-pan, 0], ArrowUp: [0, pan], ArrowDown: [0, -pan] };
    /** @type {Record<string, number>} */
    const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, PageDown: -10, PageUp: 10 };
    const { hasLine } = this.pane;
    const { key } = event;
    if (key === "+" || key === "=") this.pane.zoomBy(1);
    else if (key === "-" || key === "_") this.pane.zoomBy(-1);
    else if (key === "0") this.pane.showAll();
    else if (key === "Escape" && this.isActive) this.activate(false);
    else if (key in pans && (event.altKey || !hasLine)) this.pane.pan(...pans[key]);
    else if (hasLine && key in moves) this.pane.moveTo(Math.round(this.pane.position) + moves[key]);
    else if (hasLine && key === "Home") this.pane.moveTo(0);
    else if (hasLine && key === "End") this.pane.moveTo(100);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /**
   * Screen pixel of an event, within the pane.
   *
   * @param {MouseEvent} event
   * @returns {Pair}
   */
  #at(event) {
    const box = this.pane.element.getBoundingClientRect();
    return [(event.clientX - box.left) * this.pane.ratio, (event.clientY - box.top) * this.pane.ratio];
  }
}
