/* latentfit: split views, a workbench, a table editor and a step scrubber. One ES module, no imports, no network.
   Made by `make js` from latentfit/compare/widgets/js: change those; the data contract is types.d.ts there.
   Modules: sha256 b06f9060c8152f0ba8d3857ea75969835930087f657e55c1c38e0041c3d489db */

// latentfit/compare/widgets/js/dom.js
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === void 0 || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== void 0));
  return element;
}
function button(text, title, onclick, attributes = {}) {
  return make("button", { type: "button", class: "lf-button", title, onclick, ...attributes }, text);
}
function onFrame(work) {
  let isAsked = false;
  const run = () => {
    isAsked = false;
    work();
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(run);
  };
}
var painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(void 0))));

// latentfit/compare/widgets/js/numbers.js
var clamp = (value, low, high) => Math.min(high, Math.max(low, value));
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}
function bytesOf(value) {
  if (typeof value === "string") return Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(
    /** @type {ArrayBuffer} */
    value.buffer,
    value.byteOffset,
    value.byteLength
  );
}
function fromHalf(bits) {
  const sign = bits & 32768 ? -1 : 1;
  const exponent = bits >> 10 & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
function numbersOf(array) {
  if (Array.isArray(array)) return Float64Array.from(array.flat());
  const bytes = bytesOf(array.data).slice();
  if (array.dtype === "uint8") return Float64Array.from(bytes);
  if (array.dtype === "float16") return Float64Array.from(new Uint16Array(bytes.buffer), fromHalf);
  return Float64Array.from(new Float32Array(bytes.buffer));
}
var msWords = (ms) => `${ms < 10 ? ms.toPrecision(2) : ms.toFixed(0)} ms`;
function scoreWords(scores) {
  const words2 = [];
  if (isNumber(scores?.psnr)) words2.push(scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB`);
  if (isNumber(scores?.delta_e)) words2.push(`ΔE ${scores.delta_e.toFixed(1)}`);
  if (isNumber(scores?.ms)) words2.push(msWords(scores.ms));
  return words2;
}

// latentfit/compare/widgets/js/view.js
var MOST_ZOOM = 32;
var WHOLE_SHARE = 0.93;
var STOPS = [
  1 / 16,
  1 / 12,
  1 / 8,
  1 / 6,
  1 / 4,
  1 / 3,
  1 / 2,
  2 / 3,
  1,
  2,
  3,
  4,
  5,
  6,
  8,
  10,
  12,
  16,
  20,
  24,
  MOST_ZOOM
];
function fitZoom([width, height], grid) {
  const zoom = Math.min(width / grid[0], height / grid[1]);
  const whole = Math.floor(zoom + 1e-6);
  return whole >= WHOLE_SHARE * zoom ? whole : zoom;
}
function nextStop(step, now, fitted) {
  const stops2 = [fitted, ...STOPS.filter((zoom) => zoom > fitted + 1e-6)];
  return step > 0 ? stops2.find((zoom) => zoom > now + 1e-6) : stops2.findLast((zoom) => zoom < now - 1e-6);
}
function placeOf([width, height], [wide, high]) {
  const apart = Math.abs(width * high - height * wide);
  if (apart <= Math.max(0.02 * width * high, wide, high)) return { x: 0, y: 0, width: wide, height: high };
  const scale = Math.min(wide / width, high / height);
  const place = { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) };
  return { x: Math.floor((wide - place.width) / 2), y: Math.floor((high - place.height) / 2), ...place };
}
function middleWithin(middle, room, extent) {
  const half = room / (2 * extent);
  return half >= 0.5 ? 0.5 : clamp(middle, half, 1 - half);
}
var View = class {
  zoom = 0;
  x = 0.5;
  y = 0.5;
  /** @type {Set<Drawn>} */
  panes = /* @__PURE__ */ new Set();
  draw() {
    for (const pane of this.panes) pane.draw();
  }
  reset() {
    Object.assign(this, { zoom: 0, x: 0.5, y: 0.5 });
    this.draw();
  }
};

// latentfit/compare/widgets/js/bar.js
var MOST_VALUES = 6;
var MOST_LETTERS = 16;
var Bar = class {
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
    const zoomBy = (step) => () => this.panes[0].zoomBy(step);
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
        button("+", "Zoom in (+)", zoomBy(1), { "aria-label": "Zoom in" })
      ),
      button("1:1", "A screen pixel for each picture pixel", () => this.panes[0].zoomTo(1)),
      this.smooth,
      this.readout
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
    if (at !== void 0) this.#last = at;
    this.refresh();
  }
  refresh() {
    const [pane] = this.panes;
    this.percent.textContent = pane.view.zoom ? `${+(100 * pane.zoom).toPrecision(3)} %` : "Fit";
    this.smooth.setAttribute("aria-pressed", String(pane.smooth));
    const sides = this.panes.flatMap((each) => each.divided && !each.whole ? [each.left, each.right] : [each.left]);
    const pictures = sides.flatMap((picture) => picture?.canvas ? [picture] : []);
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
    const values = pictures.slice(0, MOST_VALUES).map((picture) => this.#value(picture, column, row, pictures.length > 1));
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
    const x = Math.floor((column - place.x + 0.5) * source.width / place.width);
    const y = Math.floor((row - place.y + 0.5) * source.height / place.height);
    if (x < 0 || y < 0 || x >= source.width || y >= source.height)
      return make("span", { class: "lf-value" }, name, make("b", {}, "–"));
    const at = y * source.width + x;
    const rgb = [...source.rgba.data.slice(4 * at, 4 * at + 3)];
    const swatch2 = make("i", { class: "lf-swatch", style: `background:rgb(${rgb.join(" ")})` });
    const words2 = picture.errors ? picture.errors.words(at) : rgb.join(" ");
    return make("span", { class: "lf-value" }, swatch2, name, make("b", {}, words2));
  }
};

// latentfit/compare/widgets/js/code_panel.js
var COPIED_MS = 1500;
async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
function sayOn(target, text) {
  const before = target.dataset.text ?? target.textContent ?? "";
  target.dataset.text = before;
  target.textContent = text;
  setTimeout(() => {
    target.textContent = before;
  }, COPIED_MS);
}
var CodePanel = class {
  constructor() {
    this.text = make("pre", { class: "lf-code", tabindex: 0, role: "region", "aria-label": "Text to copy" });
    this.copy = button("Copy", "Copy this text", () => this.#copy());
    this.panel = make("div", { class: "lf-codepanel", hidden: true }, this.text, this.copy);
  }
  /** @param {string} words */
  put(words2) {
    this.text.textContent = words2;
  }
  /**
   * Copy text at once; where the page has no clipboard, show it, selected. The button says which.
   *
   * @param {string} words
   * @param {HTMLButtonElement} target
   */
  async offer(words2, target) {
    this.put(words2);
    const isCopied = await copied(words2);
    this.panel.hidden = isCopied;
    if (!isCopied) this.select();
    sayOn(target, isCopied ? "Copied" : "Selected below");
  }
  select() {
    getSelection()?.selectAllChildren(this.text);
  }
  async #copy() {
    const isCopied = await copied(this.text.textContent ?? "");
    if (!isCopied) this.select();
    sayOn(this.copy, isCopied ? "Copied" : "Selected");
  }
};
var Code = class {
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
};
function codeOf(data, values = () => ({})) {
  const { code, live } = data;
  if (live) return new Code(() => live.question("code", values()));
  if (!code) return null;
  return new Code(() => {
    const known = values();
    return code.replace(/\{(\w+)\}/g, (all, name) => name in known ? JSON.stringify(known[name]) : all);
  });
}

// latentfit/compare/widgets/js/gestures.js
var GRASP_PX = 14;
var SWIPE_PX = 7;
var HINT_MS = 1800;
function hintWords() {
  const key = /Mac|iPhone|iPad/.test(navigator.platform) ? "⌘" : "Ctrl";
  return `${key} and the wheel zoom; so does the wheel alone after a click into the picture`;
}
var scrolledElsewhere = -Infinity;
var isWatched = false;
function watchScrolling() {
  if (isWatched) return;
  isWatched = true;
  const note = (event) => {
    const target = (
      /** @type {Element | null} */
      event.target
    );
    if (!target?.closest?.(".lf-pane")) scrolledElsewhere = event.timeStamp;
  };
  window.addEventListener("wheel", note, { capture: true, passive: true });
}
var Gestures = class {
  /** @type {Map<number, Pair>} */
  #pointers = /* @__PURE__ */ new Map();
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
    element.addEventListener("mousedown", (event) => event.preventDefault(), { signal });
    element.addEventListener("pointermove", (event) => this.#move(event), { signal });
    element.addEventListener("pointerup", (event) => this.#release(event), { signal });
    element.addEventListener("pointercancel", (event) => this.#release(event), { signal });
    element.addEventListener("pointerleave", () => this.pane.onmove?.(null), { signal });
    element.addEventListener("dblclick", () => this.pane.reset(), { signal });
    element.addEventListener("wheel", (event) => this.#turn(event), { signal, passive: false });
    element.addEventListener("keydown", (event) => this.#key(event), { signal });
    element.addEventListener("focusout", () => this.activate(false), { signal });
    const both = (event) => event.touches.length > 1 && event.cancelable && event.preventDefault();
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
    const split = this.pane.position / 100 * this.pane.size[0];
    const { hasLine } = this.pane;
    const isNear = hasLine && Math.abs(x - split) <= GRASP_PX * this.pane.ratio;
    this.#begin(isNear || hasLine && !this.pane.canPan ? "line" : "pan");
    this.#grab = isNear ? split - x : 0;
    if (this.#drag === "line" && !isNear) this.pane.moveTo(100 * x / this.pane.size[0]);
  }
  /** @param {PointerEvent} event */
  #move(event) {
    const place = this.#at(event);
    const before = this.#pointers.get(event.pointerId);
    if (before) {
      if (this.#drag === "wait") this.#wait(place);
      if (this.#drag === "pinch") this.#pinch(event.pointerId, before, place);
      else if (this.#drag === "line") this.pane.moveTo(100 * (place[0] + this.#grab) / this.pane.size[0]);
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
    const spread = (from) => Math.hypot(from[0] - other[0], from[1] - other[1]) || 1;
    this.#wheel += Math.log2(spread(place) / spread(before));
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
      return;
    }
    const delta = -event.deltaY * (event.deltaMode === 1 ? 33 : 1) * (event.ctrlKey ? 6 : 1);
    if (!isOurs && delta < 0 && this.pane.zoom <= this.pane.fitted + 1e-6) return;
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
    const pans = { ArrowLeft: [pan, 0], ArrowRight: [-pan, 0], ArrowUp: [0, pan], ArrowDown: [0, -pan] };
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
};

// latentfit/compare/widgets/js/pane.js
var LEAST_STAGE_PX = 350;
var WINDOW_SHARE = 0.82;
var Pane = class {
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
  constructor(host, { view = new View(), height, smooth, divided = true, position, onposition, signal, stage, within, room }) {
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
        "aria-valuenow": 50
      },
      make("span", { class: "lf-knob" })
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
    let largest = [0, 0];
    for (const picture of [left, right])
      if (picture?.canvas && picture.width * picture.height > largest[0] * largest[1])
        largest = [picture.width, picture.height];
    if (this.wantedGrid || largest[0]) this.grid = this.wantedGrid ?? largest;
    this.#caption(this.leftSide, left, false);
    this.#caption(this.rightSide, right, this.whole);
    const sides = [left, right].map((picture) => picture?.label || "");
    const between = `Line between ${sides[0] || "left"} and ${sides[1] || "right"}`;
    this.handle.setAttribute("aria-label", between);
    this.describe(
      this.divided && !this.whole ? `${sides[0] || "One picture"} on the left, ${sides[1] || "another"} on the right of a line` : sides[0]
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
    side.tag.hidden = !picture?.label && !picture?.note || isSame;
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
    if (!this.within.clientWidth) return;
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
    const along = (axis) => {
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
    const split = this.divided ? Math.round(this.position / 100 * width) : width;
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
    const zx = place.width * zoom / shown.width;
    const zy = place.height * zoom / shown.height;
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
    return next !== void 0 && this.zoomTo(next, at);
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
    const middle = (axis) => {
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
      y: middleWithin(y, high, this.grid[1] * shown)
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
    window.addEventListener("resize", () => this.resize(), { signal });
  }
};

// latentfit/compare/widgets/js/enlarge.js
function enlarge(rgba, width, height) {
  const across = tapsOf(rgba.width, width);
  const down = tapsOf(rgba.height, height);
  const out = new Uint8ClampedArray(4 * width * height);
  const rows = /* @__PURE__ */ new Map();
  const sum = new Float32Array(3 * width);
  const row = (y) => {
    const line = new Float32Array(3 * width);
    const start2 = 4 * y * rgba.width;
    across.forEach(({ first, weights }, x) => {
      for (let tap = 0, at = start2 + 4 * first; tap < weights.length; tap++, at += 4)
        for (let c = 0; c < 3; c++) line[3 * x + c] += weights[tap] * rgba.data[at + c];
    });
    return line;
  };
  down.forEach(({ first, weights }, y) => {
    for (const known of rows.keys()) if (known < first) rows.delete(known);
    sum.fill(0);
    weights.forEach((weight, tap) => {
      const line = rows.get(first + tap) ?? row(first + tap);
      rows.set(first + tap, line);
      for (let i = 0; i < sum.length; i++) sum[i] += weight * line[i];
    });
    for (let x = 0, from = 0, to = 4 * y * width; x < width; x++, to += 4) {
      for (let c = 0; c < 3; c++) out[to + c] = sum[from++];
      out[to + 3] = 255;
    }
  });
  return out;
}
function tapsOf(from, to) {
  const reach = Math.max(1, from / to);
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * from / to;
    const first = Math.max(0, Math.floor(middle - reach + 0.5));
    const end = Math.min(from, Math.floor(middle + reach + 0.5));
    const weights = Array.from(
      { length: end - first },
      (_2, tap) => Math.max(0, 1 - Math.abs(first + tap + 0.5 - middle) / reach)
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}

// latentfit/compare/widgets/js/picture.js
function contextOf(canvas) {
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new Error("latentfit: this browser gives no canvas to paint on");
  return context;
}
var Picture = class _Picture {
  /** @type {Map<string, Picture>} */
  #grids = /* @__PURE__ */ new Map();
  /** @type {ImageData | null} */
  #rgba = null;
  /** @type {HTMLCanvasElement | null} */
  canvas = null;
  /** Errors of each pixel, where the picture is a map of them. @type {import("./error_maps.js").ErrorMap | null} */
  errors = null;
  /** @param {PictureSpec} spec */
  constructor(spec = {}) {
    this.label = spec.label ?? "";
    this.note = spec.note ?? "";
    this.scores = spec.scores ?? null;
    this.reason = spec.reason ?? "";
    this.ready = this.reason ? Promise.resolve(this) : this.#load(spec);
  }
  get width() {
    return this.canvas?.width ?? 0;
  }
  get height() {
    return this.canvas?.height ?? 0;
  }
  /** @param {PictureSpec} spec */
  #load(spec) {
    if (spec.canvas) this.canvas = spec.canvas;
    else if (spec.pixels) this.put(bytesOf(spec.pixels), spec.width ?? 0, spec.height ?? 0);
    else if (spec.src || spec.bytes) return this.#decode(spec);
    else this.reason = "no picture was given";
    return Promise.resolve(this);
  }
  /** @param {PictureSpec} spec */
  async #decode(spec) {
    const url = spec.src ?? URL.createObjectURL(new Blob([bytesOf(spec.bytes ?? "")]));
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      contextOf(canvas).drawImage(image, 0, 0);
      this.canvas = canvas;
    } catch {
      this.reason = "the picture cannot be decoded by this browser";
    } finally {
      if (!spec.src) URL.revokeObjectURL(url);
    }
    return this;
  }
  /**
   * Raw RGB or RGBA becomes the picture's pixels.
   *
   * @param {Uint8Array | Uint8ClampedArray} bytes
   * @param {number} width
   * @param {number} height
   */
  put(bytes, width, height) {
    const rgba = new ImageData(width, height);
    if (bytes.length === rgba.data.length) rgba.data.set(bytes);
    else {
      for (let from = 0, to = 0; to < rgba.data.length; from += 3, to += 4) {
        rgba.data[to] = bytes[from];
        rgba.data[to + 1] = bytes[from + 1];
        rgba.data[to + 2] = bytes[from + 2];
        rgba.data[to + 3] = 255;
      }
    }
    this.putImage(rgba);
  }
  /** @param {ImageData} rgba */
  putImage(rgba) {
    if (!this.canvas || this.width !== rgba.width || this.height !== rgba.height)
      this.canvas = make("canvas", { width: rgba.width, height: rgba.height });
    contextOf(this.canvas).putImageData(rgba, 0, 0);
    this.#rgba = rgba;
    this.#grids.clear();
  }
  /** The pixels; there is a picture. */
  get rgba() {
    if (!this.canvas) throw new Error(`latentfit: there are no pixels of ${this.label || "a picture"}: ${this.reason}`);
    this.#rgba ??= contextOf(this.canvas).getImageData(0, 0, this.width, this.height);
    return this.#rgba;
  }
  /**
   * This picture enlarged bilinearly to another grid of pixels, and kept.
   *
   * @param {number} width
   * @param {number} height
   * @returns {Picture}
   */
  onGrid(width, height) {
    if (width === this.width && height === this.height) return this;
    const key = `${width}x${height}`;
    const known = this.#grids.get(key);
    if (known) return known;
    const larger = new _Picture({ pixels: enlarge(this.rgba, width, height), width, height });
    this.#grids.set(key, larger);
    return larger;
  }
};

// latentfit/compare/widgets/js/shell.js
var roomIn = (el) => el.clientWidth - 4;
function start(el, data, kind) {
  el.latentfit?.destroy();
  el.replaceChildren();
  el.classList.add("lf", `lf-${kind}`);
  el.dataset.lmSuppressShortcuts = "true";
  if (data.theme) el.dataset.theme = data.theme;
  else delete el.dataset.theme;
  const ender = new AbortController();
  const { signal } = ender;
  const ours = (event) => !event.ctrlKey && !event.metaKey && event.stopPropagation();
  el.addEventListener("keydown", ours, { signal });
  const notice = make("p", { class: "lf-notice", role: "status", hidden: true });
  el.append(notice);
  if (data.title) el.append(make("h3", { class: "lf-title" }, data.title));
  const end = () => {
    ender.abort();
    el.replaceChildren();
    delete el.latentfit;
  };
  const say = (text) => {
    notice.textContent = text;
    notice.hidden = !text;
  };
  return { signal, end, say };
}
function finish(el, handle) {
  const given = (
    /** @type {Handle} */
    { el, ...handle }
  );
  el.latentfit = given;
  return given;
}

// latentfit/compare/widgets/js/curtain.js
function curtain(el, data) {
  const { signal, end, say } = start(el, data, "curtain");
  const host = make("div", { class: "lf-host" });
  const stage = make("div", { class: "lf-stage" }, host);
  el.append(stage);
  const look = () => {
    data.live?.newest("look", { position: pane.position, smooth: pane.smooth });
    code?.refresh();
  };
  const { height, smooth, position } = data;
  const pane = new Pane(host, {
    height,
    smooth,
    position,
    signal,
    stage,
    within: el,
    room: () => roomIn(el),
    onposition: look
  });
  const bar = new Bar([pane], { onsmooth: look });
  const code = codeOf(data, () => ({ position: pane.position }));
  stage.append(bar.element);
  if (code) {
    bar.element.append(code.toggle);
    stage.append(code.panel);
  }
  const pictures = { left: new Picture(data.left), right: new Picture(data.right) };
  const show = async () => {
    await Promise.all([pictures.left.ready, pictures.right.ready]);
    if (signal.aborted) return;
    pane.show(pictures.left, pictures.right);
    bar.refresh();
  };
  const update = (part) => {
    if (part.position !== void 0) pane.moveTo(part.position);
    if (part.smooth !== void 0) pane.smooth = part.smooth;
    if (part.left) pictures.left = new Picture(part.left);
    if (part.right) pictures.right = new Picture(part.right);
    return part.left || part.right ? show() : pane.draw();
  };
  const state = () => ({
    position: pane.position,
    smooth: pane.smooth,
    zoom: pane.zoom,
    fitted: !pane.view.zoom,
    x: pane.view.x,
    y: pane.view.y,
    grid: pane.grid
  });
  return finish(el, { ready: show().then(painted), update, state, destroy: end, say, pane });
}

// latentfit/compare/widgets/js/line.js
var PATIENCE_MS = 5e3;
var CHUNK_BYTES = 2 << 20;
var GONE = ["restarting", "autorestarting", "terminating", "dead"];
var SILENT = "The kernel does not answer: it is busy with another cell, or it has died. What is on the page stays; for more, wait, or restart the kernel and run the cell again.";
var RESTARTED = "The kernel was restarted and no longer knows this widget. What is on the page stays; for more, run the cell again.";
var Line = class {
  #number = 0;
  /** @type {Map<number, string>} */
  #open = /* @__PURE__ */ new Map();
  /** @type {Map<string, [object, ArrayBuffer[]]>} */
  #next = /* @__PURE__ */ new Map();
  /** @type {Map<number, (text: string) => void>} */
  #answers = /* @__PURE__ */ new Map();
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
    const timer = setInterval(() => this.#listen(), 1e3);
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
    const note = (_, status) => {
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
      this.model.send({ type, seq, ...payload }, void 0, buffers);
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
};
function withBuffers(value, buffers) {
  if (Array.isArray(value))
    return value.length === 2 && value[0] === "$" ? buffers[value[1]] : value.map((each) => withBuffers(each, buffers));
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withBuffers(each, buffers)]));
  return value;
}

// latentfit/compare/widgets/js/pane_grid.js
var GAP_PX = 8;
var LEAST_PANE_PX = 150;
function columnsOf(n, [wide, tall], aspect, below = 0) {
  let best = { columns: 1, width: 0, worth: 0 };
  for (let columns = 1; columns <= n; columns++) {
    const across = Math.floor((wide - (columns - 1) * GAP_PX) / columns);
    if (columns > 1 && across < LEAST_PANE_PX) break;
    const width = Math.min(across, Math.floor(aspect * tall));
    const down = Math.ceil(n / columns) * (width / aspect + below + GAP_PX);
    const worth = width * Math.min(1, tall / down) ** 1.5;
    if (worth > best.worth) best = { columns, width, worth };
  }
  return best;
}
var PaneGrid = class {
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
        signal: this.#ender.signal
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
};

// latentfit/compare/widgets/js/step_scrubber.js
var STEPS_A_SECOND = 8;
function stepScrubber(el, data) {
  const shell = start(el, data, "scrubber");
  return new StepScrubber(el, data, shell).handle;
}
var StepScrubber = class {
  /** @type {Map<number, Record<string, Picture>>} */
  #known = /* @__PURE__ */ new Map();
  #shown = -1;
  #timer = 0;
  /**
   * @param {HTMLElement} el
   * @param {StepScrubberData} data
   * @param {import("./shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.data = data;
    this.signal = signal;
    this.steps = data.steps;
    const last = this.steps.length - 1;
    this.wanted = clamp(data.position ?? last, 0, Math.max(0, last));
    this.grid = new PaneGrid({ ...data, within: el, room: () => roomIn(el), signal });
    this.grid.count(data.names.length);
    this.bar = new Bar(this.grid.panes, { onsmooth: () => this.#tell() });
    this.slider = make("input", {
      type: "range",
      min: 0,
      max: Math.max(0, last),
      step: 1,
      class: "lf-range",
      "aria-label": "Step"
    });
    this.words = make("output", { class: "lf-words" });
    this.chart = sigmaChart(this.steps);
    this.play = button("▶", "Play", () => this.#timer ? this.#stop() : this.#begin(), { "aria-label": "Play" });
    this.play.classList.add("lf-play");
    this.code = codeOf(data, () => ({ position: this.wanted }));
    const track = make("div", { class: "lf-track" }, this.chart.element, this.slider);
    el.append(this.grid.element, make("div", { class: "lf-steps" }, this.play, track, this.words), this.bar.element);
    if (this.code) {
      this.bar.element.append(this.code.toggle);
      el.append(this.code.panel);
    }
    this.steps.forEach((step, at) => {
      if (step.pictures) this.#remember(at, step.pictures);
    });
    this.slider.addEventListener("input", () => {
      this.#stop();
      this.#go(+this.slider.value);
    });
    signal.addEventListener("abort", () => this.#stop());
    if (!this.steps.length) this.words.textContent = "no steps were recorded";
    this.handle = finish(el, {
      ready: Promise.resolve(this.steps.length ? this.#go(this.wanted) : null).then(painted),
      update: (part) => this.#update(part),
      state: () => ({
        position: this.wanted,
        shown: this.#shown,
        playing: Boolean(this.#timer),
        known: [...this.#known.keys()],
        zoom: this.grid.panes[0]?.zoom
      }),
      destroy: end,
      say,
      panes: this.grid.panes
    });
  }
  /**
   * @param {number} at
   * @param {Record<string, PictureSpec>} pictures
   */
  #remember(at, pictures) {
    this.#known.set(at, Object.fromEntries(Object.entries(pictures).map(([name, spec]) => [name, new Picture(spec)])));
  }
  /** @param {number} at */
  async #show(at) {
    const pictures = this.#known.get(at) ?? {};
    const { names } = this.data;
    await Promise.all(names.map((name) => pictures[name]?.ready));
    if (this.signal.aborted || at !== this.wanted && !this.#timer) return;
    let largest = [0, 0];
    for (const each of [...this.#known.values()].flatMap((all) => Object.values(all)))
      if (each.width * each.height > largest[0] * largest[1]) largest = [each.width, each.height];
    this.grid.panes.forEach((pane, index) => {
      const picture = pictures[names[index]] ?? new Picture({ reason: "not in this step" });
      picture.label ||= names[index];
      picture.note ||= scoreWords(picture.scores).join("  ");
      if (largest[0]) pane.wantedGrid = largest;
      pane.show(picture);
      pane.describe(`${picture.label} of step ${this.steps[at].index ?? at}`);
    });
    this.grid.layOut();
    this.#shown = at;
    this.bar.refresh();
  }
  /** @param {number} at */
  #go(at) {
    this.wanted = clamp(Math.round(at), 0, this.steps.length - 1);
    this.slider.value = String(this.wanted);
    const step = this.steps[this.wanted] ?? {};
    const parts = [`step ${step.index ?? this.wanted} · ${this.wanted + 1} of ${this.steps.length}`];
    if (isNumber(step.timestep)) parts.push(`t ${+step.timestep.toFixed(1)}`);
    if (isNumber(step.sigma)) parts.push(`σ ${step.sigma.toPrecision(3)}`);
    if (isNumber(step.ms)) parts.push(`preview ${msWords(step.ms)}`);
    this.words.textContent = parts.join("   ");
    this.slider.setAttribute("aria-valuetext", this.words.textContent);
    this.chart.mark(this.wanted);
    this.#tell();
    return this.#known.has(this.wanted) ? this.#show(this.wanted) : Promise.resolve();
  }
  #tell() {
    const { wanted } = this;
    const smooth = this.grid.panes[0]?.smooth ?? true;
    this.data.live?.newest("step", { position: wanted, known: this.#known.has(wanted), smooth });
    this.code?.refresh();
  }
  #begin() {
    if (this.wanted >= this.steps.length - 1) this.#go(0);
    this.#playing("❚❚", "Pause");
    this.#timer = window.setInterval(
      () => {
        if (this.#shown !== this.wanted) return;
        if (this.wanted >= this.steps.length - 1) this.#stop();
        else this.#go(this.wanted + 1);
      },
      1e3 / (this.data.fps ?? STEPS_A_SECOND)
    );
  }
  #stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#playing("▶", "Play");
  }
  /**
   * @param {string} sign
   * @param {string} name
   */
  #playing(sign, name) {
    this.play.textContent = sign;
    this.play.title = name;
    this.play.setAttribute("aria-label", name);
  }
  /** @param {{ at?: number, pictures?: Record<string, PictureSpec>, position?: number }} part */
  #update(part) {
    if (part.pictures && part.at !== void 0) {
      this.#remember(part.at, part.pictures);
      if (part.at === this.wanted) return this.#show(part.at);
    }
    return part.position === void 0 ? void 0 : this.#go(part.position);
  }
};
function sigmaChart(steps) {
  const svg = (tag, attributes) => {
    const element2 = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element2.setAttribute(name, String(value));
    return element2;
  };
  const box = { class: "lf-sigmas", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" };
  const element = svg("svg", box);
  const most = Math.max(...steps.map((step) => step.sigma).filter(isNumber), 0);
  const x = (at) => steps.length > 1 ? 100 * at / (steps.length - 1) : 50;
  const y = (sigma) => 22 - 20 * Math.sqrt(sigma / most);
  if (!most) return { element, mark() {
  } };
  const points = steps.flatMap(({ sigma }, at) => isNumber(sigma) ? [`${x(at)},${y(sigma)}`] : []);
  const mark = svg("line", { y1: 0, y2: 24 });
  element.append(mark, svg("polyline", { points: points.join(" ") }));
  return {
    element,
    /** @param {number} at */
    mark(at) {
      mark.setAttribute("x1", String(x(at)));
      mark.setAttribute("x2", String(x(at)));
    }
  };
}

// latentfit/compare/widgets/js/table_editor/exports.js
var EVIDENCE = [
  "ridge",
  "censored",
  "rank",
  "condition",
  "residual",
  "r2",
  "converged",
  "n_passes",
  "plain_residual",
  "scores",
  "scored_on"
];
var rowsOf = (values) => Array.from({ length: values.length / 3 }, (_, term) => [...values.subarray(3 * term, 3 * term + 3)]);
function documentOf(data, values, isEdited) {
  const { name, space, kernels, terms } = data;
  const made = structuredClone(data.document ?? { name, space, kernels, terms });
  if (isEdited && made.card) {
    for (const each of EVIDENCE) delete made.card[each];
    made.card.edited_from = name;
  }
  if (isEdited) made.name = `${name}, edited`;
  made.coefficients = rowsOf(values).map((row) => row.map((value) => +Math.fround(value).toPrecision(9)));
  return made;
}
var literal = (value) => `${value < 0 || Object.is(value, -0) ? "" : " "}${Math.fround(value).toFixed(7)}`;
function comfyuiOf(template, values) {
  const [bias, ...weights] = rowsOf(values).map((row) => row.map(literal).join(", "));
  const rows = weights.map((row) => `    [${row}],`).join("\n");
  return template.replace("{rows}", () => rows).replace("{bias}", () => bias);
}
function keep(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1e3);
}

// latentfit/compare/widgets/js/table_editor/plane.js
var MapPlane = class {
  /** @type {Map<number, Float64Array>} */
  #variables = /* @__PURE__ */ new Map();
  /**
   * @param {Form} form
   * @param {Float64Array} latents (C, h, w)
   * @param {number[]} size rows and columns
   */
  constructor({ n_channels, kernels, factors }, latents, [high, wide]) {
    this.n_channels = n_channels;
    this.factors = factors;
    this.latents = latents;
    this.high = high;
    this.wide = wide;
    this.side = Math.max(...kernels);
    this.sums = [0, 1, 2].map(() => new Float64Array(high * wide));
  }
  /**
   * A channel, or a neighbour's: shifted, its borders repeated.
   *
   * @param {number} number
   */
  variable(number) {
    const known = this.#variables.get(number);
    if (known) return known;
    const { side, high, wide } = this;
    const channel = Math.floor(number / side ** 2);
    const place = number % side ** 2;
    const down = Math.floor(place / side) - (side >> 1);
    const along = place % side - (side >> 1);
    const plane = this.latents.subarray(channel * high * wide, (channel + 1) * high * wide);
    let shifted = plane;
    if (down || along) {
      shifted = new Float64Array(high * wide);
      for (let y = 0, to = 0; y < high; y++) {
        const row = clamp(y + down, 0, high - 1) * wide;
        for (let x = 0; x < wide; x++) shifted[to++] = plane[row + clamp(x + along, 0, wide - 1)];
      }
    }
    this.#variables.set(number, shifted);
    return shifted;
  }
  /**
   * The values of a term, 0 being the constant, over the picture.
   *
   * @param {number} term
   */
  monomial(term) {
    const product = new Float64Array(this.high * this.wide).fill(1);
    if (term === 0) return product;
    for (const number of this.factors[term - 1]) {
      if (number < 0) continue;
      const values = this.variable(number);
      for (let i = 0; i < product.length; i++) product[i] *= values[i];
    }
    return product;
  }
  /**
   * All terms anew, from coefficients in rows of three.
   *
   * @param {Float64Array} coefficients
   */
  evaluate(coefficients) {
    for (const sum of this.sums) sum.fill(0);
    for (let term = 0; 3 * term < coefficients.length; term++) {
      const weights = coefficients.subarray(3 * term, 3 * term + 3);
      if (!weights[0] && !weights[1] && !weights[2]) continue;
      const values = this.monomial(term);
      this.sums.forEach((sum, c) => {
        const weight = weights[c];
        for (let i = 0; i < sum.length; i++) sum[i] += weight * values[i];
      });
    }
  }
  /**
   * Hold one coefficient: a function that sets the sums as it changes by some amount.
   *
   * @param {number} term
   * @param {number} channel
   */
  hold(term, channel) {
    const sum = this.sums[channel];
    const before = sum.slice();
    const values = this.monomial(term);
    return (change) => {
      for (let i = 0; i < sum.length; i++) sum[i] = before[i] + change * values[i];
    };
  }
  /**
   * Signed sums -> RGBA, and root mean squared errors in 8-bit levels against cells, when they are given.
   *
   * @param {Uint8ClampedArray} rgba whose alpha stays
   * @param {Float64Array | null} cells (3, h, w) in [0, 1]
   * @returns {number[] | null}
   */
  paint(rgba, cells = null) {
    const n = this.high * this.wide;
    const errors = [0, 0, 0];
    for (let c = 0; c < 3; c++) {
      const sum = this.sums[c];
      const from = c * n;
      let squared = 0;
      for (let i = 0, to = c; i < n; i++, to += 4) {
        const level = 127.5 * (sum[i] + 1);
        rgba[to] = level;
        if (cells) {
          const error = clamp(level, 0, 255) - 255 * cells[from + i];
          squared += error * error;
        }
      }
      errors[c] = Math.sqrt(squared / n);
    }
    return cells && errors;
  }
};

// latentfit/compare/widgets/js/table_editor/residuals.js
var LETTERS = ["R", "G", "B"];
var LEAST_SCALE = 16;
var psnr = (errors) => -20 * Math.log10(Math.max(1e-6, Math.hypot(...errors) / Math.sqrt(3) / 255));
var Residuals = class {
  #scale = LEAST_SCALE;
  constructor() {
    this.element = make("div", { class: "lf-residuals" });
    this.bars = LETTERS.map((letter) => ({
      fill: make("i", { class: `lf-c${letter}` }),
      mark: make("u"),
      value: make("b")
    }));
    this.words = make("p", { class: "lf-small" });
    this.title = make("span", { class: "lf-eyebrow" }, "Residual: RMSE in 8-bit levels");
    this.rows = this.bars.map(
      ({ fill, mark, value }, c) => make(
        "div",
        { class: "lf-residual" },
        make("span", {}, LETTERS[c]),
        make("span", { class: "lf-meter" }, fill, mark),
        value
      )
    );
  }
  /**
   * @param {number[] | null} errors
   * @param {number[] | null} least those of least squares
   * @param {number} ms of the last evaluation
   */
  write(errors, least, ms) {
    if (!errors) {
      this.words.textContent = `evaluated in the page: ${msWords(ms)}`;
      if (this.element.children.length !== 1) this.element.replaceChildren(this.words);
      return;
    }
    if (this.element.children.length < 2) this.element.replaceChildren(this.title, ...this.rows, this.words);
    this.#scale = Math.max(this.#scale, 1.6 * Math.max(...least ?? [0]));
    const share = (error) => `${clamp(100 * error / this.#scale, 0, 100)}%`;
    this.bars.forEach(({ fill, mark, value }, c) => {
      fill.style.width = share(errors[c]);
      mark.hidden = !least;
      if (least) mark.style.left = share(least[c]);
      value.textContent = errors[c].toFixed(1);
    });
    const best = least ? ` · least squares ${psnr(least).toFixed(1)} dB` : "";
    this.words.textContent = `${psnr(errors).toFixed(1)} dB${best} · evaluated in the page in ${msWords(ms)}`;
  }
};

// latentfit/compare/widgets/js/table_editor/terms.js
var MOST_OPEN = 18;
function groupsOf({ terms, factors }) {
  const degree = (term) => term ? factors[term - 1].filter((number) => number >= 0).length : 0;
  const all = terms.map((_, term) => term);
  const near = all.filter((term) => degree(term) < 2 && !terms[term].includes("["));
  const around = all.filter((term) => degree(term) === 1 && terms[term].includes("["));
  const groups = [{ title: "constant and channels", terms: near, open: true }];
  if (around.length) groups.push({ title: "neighbours", terms: around, open: false });
  for (let d = 2; d <= Math.max(...all.map(degree)); d++)
    groups.push({ title: `degree ${d}`, terms: all.filter((term) => degree(term) === d), open: false });
  let total = near.length;
  for (const group of groups.slice(1)) {
    total += group.terms.length;
    group.open = total <= MOST_OPEN;
  }
  return groups;
}
function niceLimit(values) {
  const wanted = 1.4 * Math.max(...values.map(Math.abs), 0.02);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return ([1, 1.5, 2, 3, 5, 7.5].find((step) => step * power >= wanted) ?? 10) * power;
}
function termWords(name) {
  if (name === "1") return ["constant"];
  return name.split("*").flatMap((factor) => {
    const [, number, place] = /^x(\d+)(\[.*\])?$/.exec(factor) ?? [];
    if (number === void 0) return [factor];
    return ["x", make("sub", {}, number), ...place ? [make("sup", {}, place.slice(1, -1))] : [], " "];
  });
}

// latentfit/compare/widgets/js/table_editor/table.js
var MOST_ROWS = 60;
var CoefficientTable = class {
  /** @type {Map<number, Row>} */
  #rows = /* @__PURE__ */ new Map();
  values = new Float64Array();
  /**
   * @param {TableEditorData} data
   * @param {Float64Array} first
   * @param {Float64Array | null} solution
   * @param {Listeners} listeners
   */
  constructor(data, first, solution, listeners) {
    this.data = data;
    this.first = first;
    this.solution = solution;
    this.listeners = listeners;
    const letters = LETTERS.map((letter) => make("span", { class: `lf-c${letter}` }, letter));
    const head = make(
      "div",
      { class: "lf-trow lf-thead", "aria-hidden": "true" },
      make("span", {}, "term"),
      ...letters
    );
    this.element = make(
      "div",
      { class: "lf-table", role: "group", tabindex: 0, "aria-label": `Coefficients of ${data.name}` },
      head
    );
  }
  /** @param {Float64Array<ArrayBuffer>} values */
  fill(values) {
    this.values = values;
    if (this.element.children.length > 1) this.refresh();
    else for (const group of groupsOf(this.data)) this.element.append(this.#group(group));
  }
  /** @param {import("./terms.js").Group} group */
  #group({ title, terms, open }) {
    const numbers = terms.flatMap((term) => [0, 1, 2].map((c) => 3 * term + c));
    const limit = niceLimit(numbers.flatMap((at) => [this.first[at], this.solution?.[at] ?? 0]));
    const body = make("div");
    const box = make(
      "details",
      { class: "lf-group2" },
      make("summary", {}, title, make("small", {}, ` ${terms.length}`)),
      body
    );
    const fill = (shown) => {
      body.replaceChildren(...shown.map((term) => (this.#rows.get(term) ?? this.#row(term, limit)).element));
      if (shown.length < terms.length) {
        const more = button(`Show all ${terms.length}`, "All terms of this group", () => fill(terms));
        more.classList.add("lf-more");
        body.append(more);
      }
      this.refresh(shown);
    };
    const begin = () => {
      if (body.children.length) return;
      const size = (term) => Math.max(...[0, 1, 2].map((c) => Math.abs(this.first[3 * term + c])));
      const largest = new Set([...terms].sort((a, b) => size(b) - size(a)).slice(0, MOST_ROWS));
      fill(terms.filter((term) => largest.has(term)));
    };
    box.addEventListener("toggle", () => box.open && begin());
    if (open) {
      begin();
      box.open = true;
    }
    return box;
  }
  /**
   * @param {number} term
   * @param {number} limit
   */
  #row(term, limit) {
    const name = this.data.terms[term];
    const decimals = clamp(Math.ceil(2 - Math.log10(limit)), 3, 6);
    const isFixed = term === 0 && this.data.intercept === false;
    const row = { decimals, ranges: [], numbers: [], element: make("div", { class: "lf-trow" }) };
    const cells = [0, 1, 2].map((c) => {
      const label = `${name}, ${LETTERS[c]}`;
      const look = { class: `lf-range lf-c${LETTERS[c]}`, "aria-label": label, disabled: isFixed };
      const range = make("input", { type: "range", min: -limit, max: limit, step: limit / 500, ...look });
      const step = 10 ** (1 - decimals);
      const number = make("input", {
        type: "number",
        step,
        class: "lf-number",
        "aria-label": `${label}, number`,
        disabled: isFixed
      });
      range.addEventListener("input", () => this.listeners.onset(term, c, +range.value, range));
      number.addEventListener(
        "input",
        () => number.value !== "" && this.listeners.onset(term, c, +number.value, number)
      );
      for (const each of [range, number]) each.addEventListener("change", () => this.listeners.onsettle());
      row.ranges.push(range);
      row.numbers.push(number);
      const cell2 = make("span", { class: "lf-cell" }, make("span", { class: "lf-rangebox" }, range), number);
      const best = this.solution?.[3 * term + c];
      if (best !== void 0) cell2.style.setProperty("--lf-mark", String(clamp(0.5 + best / (2 * limit), 0, 1)));
      return cell2;
    });
    row.element.append(make("span", { class: "lf-term", title: name }, ...termWords(name)), ...cells);
    this.#rows.set(term, row);
    return row;
  }
  /**
   * @param {Iterable<number>} terms
   * @param {HTMLInputElement | null} except the one that is being moved
   */
  refresh(terms = this.#rows.keys(), except = null) {
    for (const term of terms) {
      const row = this.#rows.get(term);
      if (!row) continue;
      for (let c = 0; c < 3; c++) {
        const value = this.values[3 * term + c];
        if (row.ranges[c] !== except) row.ranges[c].value = String(value);
        if (row.numbers[c] !== except) row.numbers[c].value = value.toFixed(row.decimals).replace(/^-(?=[0.]+$)/, "");
      }
    }
  }
};

// latentfit/compare/widgets/js/table_editor/editor.js
var WIDE_PX = 780;
var STAGE_SHARE = 0.42;
var MOST_TIMES = 240;
function tableEditor(el, data) {
  return new TableEditor(el, data, start(el, data, "editor")).handle;
}
var TableEditor = class {
  /** The coefficient that is moved, and how. @type {{ term: number, channel: number, from: number, move: (change: number) => void } | null} */
  #held = null;
  #isMoved = false;
  #isTold = false;
  /** @type {number[]} */
  #times = [];
  #frames = 0;
  /** @type {MapPlane | null} */
  #plane = null;
  /** @type {Float64Array | null} */
  #cells = null;
  #image = new ImageData(1, 1);
  #picture = new Picture({ reason: "no picture yet" });
  /** @type {number[] | null} */
  #errors = null;
  /** Those of least squares. @type {number[] | null} */
  #leastErrors = null;
  /**
   * @param {HTMLElement} el
   * @param {TableEditorData} data
   * @param {import("../shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.el = el;
    this.data = data;
    this.pictures = [...data.pictures];
    this.live = data.live ?? null;
    this.at = data.picture ?? 0;
    this.first = numbersOf(data.coefficients);
    this.values = data.edited ? numbersOf(data.edited) : this.first.slice();
    this.solution = data.solution ? numbersOf(data.solution) : null;
    this.draw = onFrame(() => this.#frame());
    const stage = make("div", { class: "lf-stage" });
    const edit = make("div", { class: "lf-edit" }, stage);
    const host = make("div", { class: "lf-host" });
    const room = () => edit.clientWidth >= WIDE_PX ? Math.round(STAGE_SHARE * edit.clientWidth) : edit.clientWidth;
    const { height, smooth = false } = data;
    this.pane = new Pane(host, { height, smooth, signal, stage, within: edit, room });
    this.bar = new Bar([this.pane]);
    this.residuals = new Residuals();
    this.code = codeOf(data);
    this.choose = make("select", { class: "lf-select", "aria-label": "Picture" });
    this.choose.append(...data.pictures.map((picture) => make("option", {}, picture.name)));
    this.choose.hidden = data.pictures.length < 2;
    this.choose.addEventListener("change", () => this.#chosen(this.choose.selectedIndex));
    this.table = new CoefficientTable(data, this.first, this.solution, {
      onset: (term, channel, value, source) => this.set(term, channel, value, source),
      onsettle: () => this.#settle()
    });
    this.table.fill(this.values);
    stage.append(this.choose, host, this.bar.element, this.residuals.element);
    edit.append(make("div", { class: "lf-tablebox" }, this.table.element, this.#words(), this.#buttons()));
    el.append(edit);
    if (this.code) el.append(this.code.panel);
    el.append(this.copyBox.panel);
    this.handle = finish(el, {
      ready: Promise.resolve(this.#open(this.at)).then(painted),
      update: (part) => this.update(part),
      state: () => this.state(),
      destroy: end,
      say,
      pane: this.pane,
      set: (...given) => this.set(...given),
      pixels: () => ({ width: this.#picture.width, height: this.#picture.height, data: this.#picture.rgba.data })
    });
  }
  copyBox = new CodePanel();
  state() {
    return {
      coefficients: [...this.values],
      picture: this.at,
      residual: this.#errors,
      solution_residual: this.#leastErrors,
      evaluate_ms: this.#times.at(-1) ?? null,
      frames: this.#frames
    };
  }
  get isEdited() {
    return this.values.some((value, at) => value !== this.first[at]);
  }
  #words() {
    const { data } = this;
    const about = `${data.name} · ${data.space} · ${this.values.length / 3} × 3 coefficients, signed range, model-domain latents`;
    const mark = this.solution ? make("span", {}, make("i", { class: "lf-marker" }), data.solution_label || "least squares") : null;
    return make("p", { class: "lf-small" }, make("span", {}, about), mark);
  }
  #buttons() {
    const label = this.data.solution_label || "least squares";
    const nudge = button("Nudge to least squares", `A quarter of the way to: ${label}`, () => this.#nudge(0.25));
    nudge.classList.add("lf-primary");
    const arrive = button("All the way", label, () => this.#nudge(1));
    nudge.disabled = arrive.disabled = !this.solution;
    const { comfyui } = this.data;
    const copy = button(
      "Copy as ComfyUI",
      "Lines for comfy/latent_formats.py with these numbers",
      () => this.#copy(copy)
    );
    copy.hidden = !comfyui;
    copy.disabled = !comfyui?.template;
    if (comfyui?.reason) copy.title = comfyui.reason;
    return make(
      "div",
      { class: "lf-row-buttons" },
      nudge,
      arrive,
      button("Reset", "The coefficients as they were first", () => this.#replace(this.first.slice())),
      button("Export", "Download the table as JSON", () => this.#export()),
      this.code?.toggle,
      copy
    );
  }
  // ---- changes
  /**
   * One coefficient is moved; the picture follows at the next frame.
   *
   * @param {number} term
   * @param {number} channel
   * @param {number} value
   * @param {HTMLInputElement | null} source
   */
  set(term, channel, value, source = null) {
    if (!Number.isFinite(value)) return;
    const at = 3 * term + channel;
    if (this.#plane && (this.#held?.term !== term || this.#held.channel !== channel)) {
      this.#apply();
      this.#held = { term, channel, from: this.values[at], move: this.#plane.hold(term, channel) };
    }
    this.values[at] = value;
    this.#isMoved = true;
    this.table.refresh([term], source);
    this.draw();
  }
  #settle() {
    this.#tell();
    this.code?.refresh();
  }
  /** @param {Float64Array<ArrayBuffer>} values */
  #replace(values) {
    this.values = values;
    this.#held = null;
    this.#isMoved = false;
    this.#plane?.evaluate(values);
    this.table.fill(values);
    this.draw();
    this.#settle();
  }
  /** @param {number} share of the way to least squares */
  #nudge(share) {
    const { solution } = this;
    if (!solution) return;
    this.#replace(
      share === 1 ? solution.slice() : this.values.map((value, at) => value + share * (solution[at] - value))
    );
  }
  #apply() {
    if (this.#held && this.#isMoved)
      this.#held.move(this.values[3 * this.#held.term + this.#held.channel] - this.#held.from);
    this.#isMoved = false;
  }
  #frame() {
    if (!this.#plane) return;
    const started = performance.now();
    this.#apply();
    this.#errors = this.#plane.paint(this.#image.data, this.#cells);
    this.#picture.putImage(this.#image);
    this.pane.draw();
    this.#times.push(performance.now() - started);
    if (this.#times.length > MOST_TIMES) this.#times.shift();
    this.#frames++;
    this.residuals.write(this.#errors, this.#leastErrors, this.#times[this.#times.length - 1]);
    if (this.bar.isPointed || this.#frames === 1) this.bar.refresh();
    if (!this.#isTold) this.#tell();
  }
  /**
   * Another picture is chosen here: the kernel is told, too.
   *
   * @param {number} at
   */
  #chosen(at) {
    this.#open(at);
    this.#settle();
  }
  /**
   * Picture `at`, its latents and its true cells.
   *
   * @param {number} at
   */
  #open(at) {
    this.at = clamp(at, 0, Math.max(0, this.pictures.length - 1));
    this.choose.selectedIndex = this.at;
    const given = this.pictures[this.at];
    if (!given) return;
    if (!given.latents) {
      this.live?.newest("picture", { picture: this.at });
      return;
    }
    const [, high, wide] = given.latents.shape;
    const plane = new MapPlane(this.data, numbersOf(given.latents), [high, wide]);
    const cells = given.cells ? numbersOf(given.cells) : null;
    this.#plane = plane;
    this.#cells = cells && given.cells && given.cells.dtype === "uint8" ? cells.map((level) => level / 255) : cells;
    this.#image = new ImageData(wide, high);
    this.#image.data.fill(255);
    this.#leastErrors = null;
    if (this.solution && this.#cells) {
      plane.evaluate(this.solution);
      this.#leastErrors = plane.paint(this.#image.data, this.#cells);
    }
    this.#held = null;
    this.#isMoved = false;
    plane.evaluate(this.values);
    plane.paint(this.#image.data);
    this.#picture = new Picture({ pixels: this.#image.data, width: wide, height: high, label: this.data.name });
    this.pane.show(this.#picture, this.#truth(wide, high));
    this.pane.describe(`${given.name}: ${this.data.name} as edited on the left, the true cells on the right of a line`);
    this.#frame();
  }
  /**
   * @param {number} width
   * @param {number} height
   */
  #truth(width, height) {
    const label = this.data.truth ?? "the VAE's cells";
    const cells = this.#cells;
    if (!cells) return new Picture({ reason: "no true cells were given", label });
    const n = width * height;
    const pixels = Uint8ClampedArray.from({ length: 3 * n }, (_, i) => 255 * cells[i % 3 * n + Math.floor(i / 3)]);
    return new Picture({ pixels, width, height, label });
  }
  #tell() {
    this.#isTold = true;
    this.live?.newest("coefficients", { picture: this.at }, [Float64Array.from(this.values).buffer]);
  }
  /** @param {{ opened?: { at: number, picture: EditorPicture }, coefficients?: Numbers, picture?: number }} part */
  update(part) {
    if (part.opened) {
      const { at, picture } = part.opened;
      this.pictures[at] = { ...this.pictures[at], ...picture };
      if (at === this.choose.selectedIndex) this.#open(at);
    }
    if (part.coefficients) this.#replace(numbersOf(part.coefficients));
    if (part.picture !== void 0) this.#open(part.picture);
  }
  // ---- what leaves the page
  /** @param {HTMLButtonElement} target */
  #copy(target) {
    const { template = "", edited = template } = this.data.comfyui ?? {};
    const text = comfyuiOf(this.isEdited ? edited : template, this.values);
    return this.copyBox.offer(text, target);
  }
  #export() {
    const made = documentOf(this.data, this.values, this.isEdited);
    keep(
      `${made.name.replace(/[^\w.-]+/g, "_")}.json`,
      new Blob([`${JSON.stringify(made)}
`], { type: "application/json" })
    );
  }
};

// latentfit/compare/widgets/js/colour.js
var LINEAR = Float32Array.from({ length: 256 }, (_, level) => {
  const value = level / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});
var encoded = (linear) => linear <= 31308e-7 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055;
var colours = (hex) => hex.split(" ").map((text) => {
  const level = parseInt(text, 16);
  return [level >> 16, level >> 8 & 255, level & 255];
});
var SIGNED = colours("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f");
var MAGMA = colours(
  "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf"
);
function paintLevel(stops2, share, out, to) {
  const at = clamp(share, 0, 1) * (stops2.length - 1);
  const low = Math.min(Math.floor(at), stops2.length - 2);
  const w = at - low;
  for (let c = 0; c < 3; c++) out[to + c] = stops2[low][c] * (1 - w) + stops2[low + 1][c] * w;
}
function labOf(rgba) {
  const n = rgba.length / 4;
  const lab = new Float32Array(3 * n);
  const curve = (t) => t > 8856e-6 ? Math.cbrt(t) : 7.787 * t + 16 / 116;
  for (let i = 0; i < n; i++) {
    const r = LINEAR[rgba[4 * i]];
    const g = LINEAR[rgba[4 * i + 1]];
    const b = LINEAR[rgba[4 * i + 2]];
    const x = curve((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.95047);
    const y = curve(0.212671 * r + 0.71516 * g + 0.072169 * b);
    const z = curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
    lab[3 * i] = 116 * y - 16;
    lab[3 * i + 1] = 500 * (x - y);
    lab[3 * i + 2] = 200 * (y - z);
  }
  return lab;
}
var DEGREE = Math.PI / 180;
var ofSeventhPower = (chroma) => {
  const seventh = chroma ** 7;
  return Math.sqrt(seventh / (seventh + 6103515625));
};
function deltaE2000(first, second) {
  const one = labOf(first);
  const two = labOf(second);
  const out = new Float32Array(first.length / 4);
  for (let i = 0; i < out.length; i++) {
    const l1 = one[3 * i];
    const l2 = two[3 * i];
    const b1 = one[3 * i + 2];
    const b2 = two[3 * i + 2];
    let a1 = one[3 * i + 1];
    let a2 = two[3 * i + 1];
    if (l1 === l2 && a1 === a2 && b1 === b2) continue;
    const stretch = 1.5 - 0.5 * ofSeventhPower((Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2);
    a1 *= stretch;
    a2 *= stretch;
    const c1 = Math.hypot(a1, b1);
    const c2 = Math.hypot(a2, b2);
    const chroma = (c1 + c2) / 2;
    const h1 = Math.atan2(b1, a1);
    const h2 = Math.atan2(b2, a2);
    let turn = c1 * c2 === 0 ? 0 : h2 - h1;
    if (turn > Math.PI) turn -= 2 * Math.PI;
    else if (turn < -Math.PI) turn += 2 * Math.PI;
    let hue = c1 * c2 === 0 ? h1 + h2 : h1 + turn / 2;
    if (hue < 0) hue += 2 * Math.PI;
    const dH = 2 * Math.sqrt(c1 * c2) * Math.sin(turn / 2);
    const t = 1 - 0.17 * Math.cos(hue - 30 * DEGREE) + 0.24 * Math.cos(2 * hue) + 0.32 * Math.cos(3 * hue + 6 * DEGREE) - 0.2 * Math.cos(4 * hue - 63 * DEGREE);
    const offGrey = ((l1 + l2) / 2 - 50) ** 2;
    const turned = 60 * DEGREE * Math.exp(-(((hue / DEGREE - 275) / 25) ** 2));
    const dl = (l2 - l1) / (1 + 0.015 * offGrey / Math.sqrt(20 + offGrey));
    const dc = (c2 - c1) / (1 + 0.045 * chroma);
    const dh = dH / (1 + 0.015 * chroma * t);
    out[i] = Math.sqrt(
      Math.max(0, dl * dl + dc * dc + dh * dh - 2 * Math.sin(turned) * ofSeventhPower(chroma) * dc * dh)
    );
  }
  return out;
}

// latentfit/compare/widgets/js/error_maps.js
var AMPLIFIED = 4;
var HIGH_SHARE = 0.995;
var AUTO_LIMITS = [1, 2, 3, 5, 10, 15, 20, 30, 50, 100];
var GREYS = Array.from(
  { length: 3 },
  (_, at) => (
    /** @type {import("./colour.js").Rgb} */
    [127.5 * at, 127.5 * at, 127.5 * at]
  )
);
var SCALES = {
  lightness: { stops: SIGNED, title: "lightness error ΔL*", isSigned: true, limit: 20, isFixed: false },
  delta_e: { stops: MAGMA, title: "colour error ΔE (CIEDE2000)", isSigned: false, limit: 30, isFixed: false },
  difference: {
    stops: GREYS,
    title: `difference ×${AMPLIFIED}, in 8-bit levels`,
    isSigned: true,
    limit: 127.5 / AMPLIFIED,
    isFixed: true
  }
};
var signed = (value, digits = 0) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;
var ErrorMap = class {
  #high = -1;
  /**
   * @param {Picture} picture
   * @param {Picture} reference
   * @param {ErrorMode} mode
   */
  constructor(picture, reference, mode) {
    this.mode = mode;
    this.width = reference.width;
    this.height = reference.height;
    this.shown = picture.onGrid(this.width, this.height).rgba.data;
    this.truth = reference.rgba.data;
    this.values = mode === "delta_e" ? deltaE2000(this.shown, this.truth) : this.#signed();
  }
  #signed() {
    const out = new Float32Array(this.width * this.height);
    if (this.mode === "lightness") {
      const one = labOf(this.shown);
      const two = labOf(this.truth);
      for (let i = 0; i < out.length; i++) out[i] = one[3 * i] - two[3 * i];
    } else {
      for (let i = 0, at = 0; i < out.length; i++, at += 4)
        for (let c = 0; c < 3; c++) out[i] += (this.shown[at + c] - this.truth[at + c]) / 3;
    }
    return out;
  }
  /** What all but half a percent of the pixels stay below. */
  get high() {
    if (this.#high < 0) {
      const sizes = this.values.map(Math.abs).sort();
      this.#high = sizes[Math.ceil(HIGH_SHARE * sizes.length) - 1] ?? 0;
    }
    return this.#high;
  }
  /**
   * The error of a pixel in words.
   *
   * @param {number} at
   */
  words(at) {
    if (this.mode === "delta_e") return `ΔE ${this.values[at].toFixed(1)}`;
    if (this.mode === "lightness") return `ΔL* ${signed(this.values[at], 1)}`;
    const levels = [0, 1, 2].map((c) => signed(this.shown[4 * at + c] - this.truth[4 * at + c]));
    return levels.join(" ");
  }
  /**
   * As a picture in colours, up to a limit.
   *
   * @param {number} limit
   */
  painted(limit) {
    const { values, shown, truth, width, height } = this;
    const { stops: stops2, isSigned } = SCALES[this.mode];
    const out = new Uint8ClampedArray(4 * values.length).fill(255);
    for (let i = 0, to = 0; i < values.length; i++, to += 4) {
      if (this.mode === "difference")
        for (let c = 0; c < 3; c++) out[to + c] = 127.5 + AMPLIFIED * (shown[to + c] - truth[to + c]);
      else paintLevel(stops2, isSigned ? 0.5 + values[i] / (2 * limit) : values[i] / limit, out, to);
    }
    const made = new Picture({ pixels: out, width, height });
    made.errors = this;
    return made;
  }
};
function limitOf(mode, scale, maps) {
  const { limit, isFixed } = SCALES[mode];
  if (scale === "fixed" || isFixed || !maps.length) return limit;
  const high = Math.max(...maps.map((map) => map.high));
  return AUTO_LIMITS.find((each) => each >= high) ?? AUTO_LIMITS[AUTO_LIMITS.length - 1];
}
function exposedPicture(picture, stops2) {
  const gain = 2 ** stops2;
  const levels = Uint8ClampedArray.from(LINEAR, (linear) => 255 * encoded(Math.min(1, gain * linear)));
  const brighter = ({ rgba, width, height }) => {
    const pixels = Uint8ClampedArray.from(rgba.data, (level, at) => at % 4 === 3 ? level : levels[level]);
    return new Picture({ pixels, width, height });
  };
  const made = brighter(picture);
  const grids = /* @__PURE__ */ new Map([[picture, made]]);
  made.onGrid = (width, height) => {
    const larger = picture.onGrid(width, height);
    const known = grids.get(larger) ?? brighter(larger);
    grids.set(larger, known);
    return known;
  };
  return made;
}

// latentfit/compare/widgets/js/workbench/settings.js
var MOST_IN_GRID = 6;
var START = Object.freeze({ sigma: 0, gain: 1, exposure: 0, mode: "picture", scale: "fixed" });
var MODES = [
  ["picture", "Picture", "The pictures themselves"],
  ["lightness", "Lightness error", "How much too light (red) or too dark (blue), in L*"],
  ["delta_e", "Colour error ΔE", "CIEDE2000: 1 is just seen side by side, 10 at a glance"],
  ["difference", "Difference ×4", "The difference four times over, about grey"]
];
var LAYOUTS = [
  ["split", "Split view", "Two pictures under a line that moves"],
  ["grid", "Grid", `Up to ${MOST_IN_GRID} pictures beside each other`],
  ["blink", "Blink", "Two pictures in turns, at one place"]
];
var BADGES = {
  held_out: ["held out", "This picture was left out when the decoder was fitted"],
  fitted_on: ["fitted on this", "The decoder was fitted on this picture: here it scores better than elsewhere"]
};
function settingsOf(data) {
  const others = data.sides.filter((name) => name !== data.reference);
  const left = data.left ?? others[0] ?? data.sides[0];
  const given = data.mode ?? "picture";
  return {
    picture: data.picture ?? 0,
    left,
    right: data.right ?? data.reference ?? others[1] ?? data.sides[0],
    grid: data.grid?.length ? data.grid.slice(0, MOST_IN_GRID) : firstGrid(data),
    layout: data.layout ?? "split",
    mode: MODES.some(([mode]) => mode === given) ? given : "picture",
    scale: data.scale ?? "fixed",
    sigma: data.sigma ?? 0,
    gain: data.gain ?? 1,
    exposure: data.exposure ?? 0
  };
}
function firstGrid({ sides, reference }) {
  const first = reference ? [reference] : [];
  return [...first, ...sides.filter((name) => name !== reference)].slice(0, MOST_IN_GRID);
}
var namesOf = (view) => view.layout === "grid" ? view.grid : [.../* @__PURE__ */ new Set([view.left, view.right])];
function settingWords({ sigma, gain }) {
  const parts = [`noise σ ${sigma.toFixed(2)}`];
  if (gain !== 1) parts.push(`latent gain × ${gain.toFixed(2)}`);
  return parts.join(", ");
}

// latentfit/compare/widgets/js/workbench/answers.js
var MOST_KEPT = 36;
var keyOf = ({ picture, sigma, gain }) => JSON.stringify([picture, sigma, gain]);
var Answers = class {
  /** What came, by the kernel's key. @type {Map<string, Picture>} */
  #kept = /* @__PURE__ */ new Map();
  /** What was asked for, by its key. @type {Map<string, Settings>} */
  #questions = /* @__PURE__ */ new Map();
  /** @type {string | null} */
  #asked = null;
  /** The sides that are shown, by name. @type {Record<string, Picture>} */
  now = {};
  /** The view that they are of. @type {Settings | null} */
  shown = null;
  estimate = "";
  isWaiting = false;
  /**
   * Whether what is shown is of these latents.
   *
   * @param {Settings} view
   */
  isOf(view) {
    return this.shown !== null && keyOf(this.shown) === keyOf(view);
  }
  /**
   * What to ask for a view; null where it is there, or on its way.
   *
   * @param {Settings} view
   * @param {string[]} names
   */
  question(view, names) {
    const { picture, sigma, gain } = view;
    const key = JSON.stringify([picture, names, sigma, gain]);
    const isThere = this.isOf(view) && names.every((name) => this.now[name]?.canvas);
    if (isThere && !this.isWaiting) this.#asked = key;
    if (key === this.#asked) return null;
    this.#asked = key;
    this.isWaiting = true;
    this.#questions.set(key, { ...view });
    return { key, picture, names, sigma, gain, have: [...this.#kept.keys()] };
  }
  /**
   * Whether an answer counts on what was here when the kernel was asked, and has made room since: it is asked anew.
   *
   * @param {Answer} answer
   */
  lacks({ sides }) {
    const lacks = Object.values(sides).some((spec) => spec.kept && !this.#kept.has(spec.key));
    if (lacks) {
      this.#asked = null;
      this.shown = null;
    }
    return lacks;
  }
  /**
   * An answer came; false where it is to what was asked before.
   *
   * @param {Answer} answer
   * @param {Settings} view
   */
  take({ sides, key, estimate = "" }, view) {
    const now = Object.fromEntries(Object.entries(sides).map(([name, spec]) => [name, this.#keep(spec)]));
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(oldest);
    }
    const question = this.#questions.get(key);
    for (const known of this.#questions.keys()) {
      if (known === key) break;
      this.#questions.delete(known);
    }
    if (key === this.#asked) this.isWaiting = false;
    if (!namesOf(view).every((name) => name in now)) return false;
    this.now = now;
    this.shown = question ?? { ...view };
    this.estimate = estimate;
    return true;
  }
  /** @param {SentSide} spec */
  #keep(spec) {
    const picture = spec.kept && this.#kept.get(spec.key) || new Picture(spec);
    this.#kept.delete(spec.key);
    if (!picture.reason) this.#kept.set(spec.key, picture);
    picture.scores = spec.scores ?? picture.scores;
    return picture;
  }
};

// latentfit/compare/widgets/js/workbench/badge.js
function badge(standing) {
  if (!standing) return null;
  const [words2, title] = BADGES[standing];
  return make("span", { class: `lf-badge lf-${standing.replace("_", "-")}`, title }, words2);
}

// latentfit/compare/widgets/js/workbench/choosers.js
function groupsOf2({ sides, reference }) {
  const others = sides.filter((name) => name !== reference);
  return reference ? [
    ["VAE (reference)", [reference]],
    ["Compared with it", others]
  ] : [["Decoders", others]];
}
function scoreCells(scores, isReference) {
  const time = ["time", isNumber(scores?.ms) ? msWords(scores.ms) : "–"];
  if (isReference) return [["", "the reference"], time];
  const psnr2 = isNumber(scores?.psnr) ? scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB` : "–";
  return [["PSNR", psnr2], ["ΔE", isNumber(scores?.delta_e) ? scores.delta_e.toFixed(1) : "–"], time];
}
function writeScores(target, scores, isReference, standing) {
  const cells = scoreCells(scores, isReference).map(
    ([label, value]) => make("span", {}, label ? make("small", {}, label) : null, make("b", {}, value))
  );
  const mark = isReference ? null : badge(standing);
  target.replaceChildren(...cells, ...mark ? [mark] : []);
}
var Choosers = class {
  /** @type {Offer} */
  #offer = { sides: [], reference: null };
  /** @type {HTMLInputElement[]} */
  #boxes = [];
  /** @param {(part: Partial<Settings>) => void} onchange */
  constructor(onchange) {
    this.onchange = onchange;
    this.selects = { left: this.#select("left"), right: this.#select("right") };
    this.scores = { left: make("p", { class: "lf-scores" }), right: make("p", { class: "lf-scores" }) };
    const swap = () => this.onchange({ left: this.selects.right.value, right: this.selects.left.value });
    const two = [
      this.#card("left"),
      button("⇄", "Swap left and right", swap, { "aria-label": "Swap left and right" }),
      this.#card("right")
    ];
    two[1].classList.add("lf-swap");
    this.pair = make("div", { class: "lf-pair" }, ...two);
    this.legend = make("legend", { class: "lf-eyebrow" });
    this.list = make("div", { class: "lf-checks" });
    this.many = make("fieldset", { class: "lf-choice lf-many", hidden: true }, this.legend, this.list);
    this.element = make("div", { class: "lf-choosers" }, this.pair, this.many);
  }
  /** @param {"left" | "right"} side */
  #select(side) {
    const select = make("select", { class: "lf-select", "aria-label": `${side} picture` });
    select.addEventListener("change", () => this.onchange({ [side]: select.value }));
    return select;
  }
  /** @param {"left" | "right"} side */
  #card(side) {
    const title = make("span", { class: "lf-eyebrow" }, side === "left" ? "Left" : "Right");
    return make("div", { class: `lf-choice lf-choice-${side}` }, title, this.selects[side], this.scores[side]);
  }
  /** @param {Offer} offer */
  offer(offer) {
    this.#offer = offer;
    for (const select of [this.selects.left, this.selects.right])
      select.replaceChildren(
        ...groupsOf2(offer).map(
          ([label, names]) => make("optgroup", { label }, ...names.map((name) => make("option", { value: name }, name)))
        )
      );
    this.#boxes = [];
    this.list.replaceChildren(
      ...groupsOf2(offer).map(
        ([label, names]) => make(
          "div",
          { role: "group", "aria-label": label },
          make("small", {}, label),
          ...names.map((name) => this.#check(name))
        )
      )
    );
  }
  /** @param {string} name */
  #check(name) {
    const box = make("input", { type: "checkbox", value: name });
    box.addEventListener("change", () => {
      const chosen = this.#boxes.filter((each) => each.checked).map((each) => each.value);
      this.onchange({ grid: chosen });
    });
    this.#boxes.push(box);
    return make("label", { class: "lf-check", title: name }, box, make("span", {}, name));
  }
  /** @param {Settings} view */
  show(view) {
    this.selects.left.value = view.left;
    this.selects.right.value = view.right;
    const isGrid = view.layout === "grid";
    this.pair.hidden = isGrid;
    this.many.hidden = !isGrid;
    const isFull = view.grid.length >= MOST_IN_GRID;
    for (const box of this.#boxes) {
      box.checked = view.grid.includes(box.value);
      box.disabled = box.checked ? view.grid.length === 1 : isFull;
    }
    const most = Math.min(MOST_IN_GRID, this.#boxes.length);
    this.legend.textContent = `In the grid: ${view.grid.length} of at most ${most}`;
  }
  /**
   * @param {"left" | "right"} side
   * @param {string} name
   * @param {Scores | null | undefined} scores
   * @param {Standing | undefined} standing
   */
  write(side, name, scores, standing) {
    writeScores(this.scores[side], scores, name === this.#offer.reference, standing);
  }
};

// latentfit/compare/widgets/js/workbench/sliders.js
var NOISE = "Noise that a live preview sees at mid-run: the latents are replaced by a simulated estimate of them";
var NOISE_LABEL = "noise σ (preview at mid-run)";
var noise = (most) => ({
  name: "sigma",
  label: NOISE_LABEL,
  title: NOISE,
  low: 0,
  high: most,
  step: most / 80,
  words: (v) => v.toFixed(2)
});
var stops = (views) => ({
  name: "stop",
  label: NOISE_LABEL,
  title: NOISE,
  low: 0,
  high: views.length - 1,
  step: 1,
  words: (at) => views[at].sigma.toFixed(2)
});
var GAIN = {
  name: "gain",
  label: "latent gain (guidance)",
  title: "Factor on the latents, as strong guidance has",
  low: 0.25,
  high: 2,
  step: 0.05,
  words: (v) => `× ${v.toFixed(2)}`
};
var EXPOSURE = {
  name: "exposure",
  label: "exposure (view only)",
  title: "Stops brighter, in linear light; errors do not change",
  low: -3,
  high: 3,
  step: 0.1,
  words: (v) => `${v > 0 ? "+" : ""}${v.toFixed(1)} EV`
};
var Sliders = class {
  /** @type {Map<string, { input: HTMLInputElement, put: (value: number) => void }>} */
  #known = /* @__PURE__ */ new Map();
  /**
   * @param {{ live: boolean, sigma_most: number, views: WorkbenchView[] }} given
   * @param {(name: string, value: number | null) => void} onchange null: as at first
   */
  constructor({ live, sigma_most, views }, onchange) {
    this.views = views;
    const made = live ? [noise(sigma_most), GAIN] : views.length > 1 ? [stops(views)] : [];
    this.element = make(
      "div",
      { class: "lf-sliders" },
      ...[...made, EXPOSURE].map((slider) => this.#slider(slider, onchange))
    );
  }
  /**
   * @param {Slider} slider
   * @param {(name: string, value: number | null) => void} onchange
   */
  #slider({ name, label, title, low, high, step, words: words2 }, onchange) {
    const output = make("span", { class: "lf-amount", "aria-hidden": "true" });
    const input = make("input", { type: "range", min: low, max: high, step, class: "lf-range", "aria-label": label });
    const put = (value) => {
      input.value = String(value);
      output.textContent = words2(value);
      input.setAttribute("aria-valuetext", words2(value));
    };
    input.addEventListener("input", () => onchange(name, +input.value));
    input.addEventListener("dblclick", () => onchange(name, null));
    this.#known.set(name, { input, put });
    return make("label", { class: "lf-slider", title }, make("span", {}, label), output, input);
  }
  /** @param {{ sigma: number, gain: number, exposure: number, mode: string }} view */
  show(view) {
    this.#known.get("sigma")?.put(view.sigma);
    this.#known.get("gain")?.put(view.gain);
    const at = this.views.findIndex((each) => each.sigma === view.sigma && each.gain === view.gain);
    this.#known.get("stop")?.put(Math.max(0, at));
    const exposure = this.#known.get("exposure");
    exposure?.put(view.exposure);
    if (exposure) exposure.input.disabled = view.mode !== "picture";
  }
};

// latentfit/compare/widgets/js/workbench/controls.js
var Controls = class {
  /**
   * @param {WorkbenchData} data
   * @param {Listeners} listeners
   */
  constructor(data, { onset, onslide, onhold, onreset }) {
    this.choosers = new Choosers(onset);
    const views = data.pictures[0]?.views ?? [];
    this.sliders = new Sliders({ live: Boolean(data.live), sigma_most: data.sigma_most ?? 4, views }, onslide);
    this.layouts = LAYOUTS.map(
      ([layout, text, title]) => button(text, title, () => onset({ layout }), { "data-layout": layout })
    );
    const modes = MODES.filter(([mode]) => mode === "picture" || data.reference);
    this.modes = modes.map(([mode, text, title]) => button(text, title, () => onset({ mode }), { "data-mode": mode }));
    this.busy = make("span", { class: "lf-busy", hidden: true, title: "The kernel is at work" });
    this.note = make("p", { class: "lf-small" });
    this.hold = button("Hold for the VAE", "While it is pressed, the VAE stands everywhere (V)", null, {
      "aria-pressed": "false"
    });
    this.hold.hidden = !data.reference;
    listenToHold(this.hold, onhold);
    const reset = button("Reset", "Mode, noise, gain, exposure and zoom as at first", onreset);
    this.shares = make("div", { class: "lf-row-buttons lf-shares" });
    this.element = make(
      "div",
      { class: "lf-controls" },
      make("div", { class: "lf-segments", role: "group", "aria-label": "Layout" }, ...this.layouts),
      this.choosers.element,
      make("div", { class: "lf-segments lf-modes", role: "group", "aria-label": "What is shown" }, ...this.modes),
      this.sliders.element,
      make("div", { class: "lf-row-buttons" }, this.hold, reset, this.busy),
      this.note,
      this.shares
    );
  }
  /** @param {Settings} view */
  show(view) {
    this.choosers.show(view);
    this.sliders.show(view);
    for (const each of this.layouts) each.setAttribute("aria-pressed", String(each.dataset.layout === view.layout));
    for (const each of this.modes) each.setAttribute("aria-pressed", String(each.dataset.mode === view.mode));
  }
};
function listenToHold(hold, onhold) {
  const isPress = (event) => [" ", "Enter"].includes(event.key);
  hold.addEventListener("pointerdown", () => onhold(true));
  hold.addEventListener("keydown", (event) => isPress(event) && onhold(true));
  hold.addEventListener("keyup", (event) => isPress(event) && onhold(false));
  for (const type of ["pointerup", "pointercancel", "pointerleave", "blur"])
    hold.addEventListener(type, () => onhold(false));
}

// latentfit/compare/widgets/js/workbench/keys.js
var KEYS = [
  ["← →", "move the line; with Shift by ten"],
  ["Alt and arrows", "move the picture when zoomed in; in the grid without Alt"],
  ["+ −", "zoom in, zoom out; up to 32×"],
  ["0", "fit the picture into the pane"],
  ["V", "hold: the VAE everywhere"],
  ["B", "blink between left and right; Space holds one"],
  ["G", "grid; again: the split view"],
  ["1 2 3 4", "picture, lightness error, colour error, difference"],
  ["Ctrl or ⌘ and wheel", "zoom about the pointer; after a click into the picture the wheel alone"],
  ["two fingers", "zoom and move; one finger sideways moves the line, up or down scrolls the page"],
  ["Esc", "give the wheel back to the page"],
  ["?", "these keys"]
];
var Keys = class {
  constructor() {
    const rows = KEYS.flatMap(([key, words2]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, words2)]);
    this.panel = make(
      "div",
      { class: "lf-keys", hidden: true, role: "region", "aria-label": "Keys" },
      make("dl", {}, ...rows)
    );
    this.toggle = button("?", "The keys (?)", () => this.turn(), { "aria-expanded": false, "aria-label": "Keys" });
  }
  turn() {
    this.panel.hidden = !this.panel.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.panel.hidden));
  }
};

// latentfit/compare/widgets/js/workbench/legend.js
var BINS = 60;
var MOST_LINES = 6;
var DASHES = ["", "5 3", "2 2", "8 3 2 3", "1 3", "10 4"];
var SVG = "http://www.w3.org/2000/svg";
function histogram(values, low, high, bins = BINS) {
  const counts = new Array(bins).fill(0);
  for (let i = 0; i < values.length; i++)
    counts[clamp(Math.floor((values[i] - low) / (high - low) * bins), 0, bins - 1)]++;
  return counts;
}
var words = (value) => value < 0 ? `−${Math.abs(value)}` : `${value}`;
var Legend = class {
  /** @param {(scale: Scale) => void} onscale */
  constructor(onscale) {
    this.title = make("span", { class: "lf-legendtitle" });
    this.fixed = button("", "The same range for every picture, so that maps compare", () => onscale("fixed"));
    this.auto = button("auto", "As far as the errors of what is shown go", () => onscale("auto"));
    this.range = make(
      "span",
      { class: "lf-group", role: "group", "aria-label": "Range of the colours" },
      this.fixed,
      this.auto
    );
    this.chart = document.createElementNS(SVG, "svg");
    this.chart.setAttribute("class", "lf-histogram");
    this.chart.setAttribute("viewBox", `0 0 ${BINS} 100`);
    this.chart.setAttribute("preserveAspectRatio", "none");
    this.chart.setAttribute("role", "img");
    this.colours = make("i", { class: "lf-colours" });
    this.marks = make("span", { class: "lf-marks" });
    this.low = make("span");
    this.middle = make("span");
    this.high = make("span");
    this.names = make("div", { class: "lf-names" });
    const scale = make("div", { class: "lf-scalebox" }, this.chart, this.colours, this.marks);
    this.element = make(
      "div",
      { class: "lf-legend", hidden: true },
      make("div", { class: "lf-legendhead" }, this.title, this.range),
      scale,
      make("div", { class: "lf-ticks" }, this.low, this.middle, this.high),
      this.names
    );
  }
  /**
   * @param {ErrorMode | "picture"} mode
   * @param {Scale} scale
   * @param {number} limit
   * @param {{ name: string, map: ErrorMap }[]} shown
   */
  show(mode, scale, limit, shown) {
    this.element.hidden = mode === "picture" || !shown.length;
    if (mode === "picture" || !shown.length) return;
    const { stops: stops2, title, isSigned, limit: fixed, isFixed } = SCALES[mode];
    this.bounds = [isSigned ? -limit : 0, limit];
    this.title.textContent = title;
    this.range.hidden = isFixed;
    this.fixed.textContent = isSigned ? `±${fixed}` : `0–${fixed}`;
    this.fixed.setAttribute("aria-pressed", String(scale === "fixed"));
    this.auto.setAttribute("aria-pressed", String(scale === "auto"));
    this.colours.style.background = `linear-gradient(90deg,${stops2.map((rgb) => `rgb(${rgb.join(" ")})`).join(",")})`;
    const round = +limit.toFixed(1);
    this.low.textContent = isSigned ? `${words(-round)} too dark` : "0";
    this.middle.textContent = isSigned ? "0" : words(round / 2);
    this.high.textContent = isSigned ? `too light +${round}` : words(round);
    this.#draw(shown.slice(0, MOST_LINES));
  }
  /** @param {{ name: string, map: ErrorMap }[]} shown */
  #draw(shown) {
    const [low, high] = this.bounds ?? [0, 1];
    const all = shown.map(({ map }) => histogram(map.values, low, high).map(Math.sqrt));
    const most = Math.max(1, ...all.flat());
    this.chart.replaceChildren(
      ...all.map(
        (counts, index) => outline(
          counts.map((count) => 100 - 96 * count / most),
          index
        )
      )
    );
    const means = shown.map(
      ({ map }) => map.values.reduce((sum, value) => sum + Math.abs(value), 0) / map.values.length
    );
    this.chart.setAttribute(
      "aria-label",
      `How often each error occurs; mean ${shown.map(({ name }, at) => `${name} ${means[at].toFixed(1)}`).join(", ")}`
    );
    this.names.replaceChildren(
      ...shown.map(({ name }, index) => make("span", {}, swatch(index), `${name}, mean ${means[index].toFixed(1)}`))
    );
  }
  /**
   * Marks at the errors under the pointer.
   *
   * @param {number[]} values
   */
  point(values) {
    const [low, high] = this.bounds ?? [0, 1];
    const place = (value) => `${100 * clamp((value - low) / (high - low), 0, 1)}%`;
    this.marks.replaceChildren(...values.map((value) => make("u", { style: `left:${place(value)}` })));
  }
};
function outline(heights, index) {
  const line = document.createElementNS(SVG, "path");
  const steps = heights.map((y, at) => `${at ? "L" : "M"}${at},${y.toFixed(1)}H${at + 1}`).join("");
  line.setAttribute("d", index ? steps : `M0,100L${steps.slice(1)}V100Z`);
  line.setAttribute("class", index ? "lf-line" : "lf-area");
  if (index) line.setAttribute("stroke-dasharray", DASHES[index]);
  return line;
}
function swatch(index) {
  const box = document.createElementNS(SVG, "svg");
  box.setAttribute("viewBox", "0 0 22 10");
  box.setAttribute("class", "lf-histswatch");
  box.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", index ? "M0,5H22" : "M0,10V2H22V10Z");
  line.setAttribute("class", index ? "lf-line" : "lf-area");
  if (index) line.setAttribute("stroke-dasharray", DASHES[index]);
  box.append(line);
  return box;
}

// latentfit/compare/widgets/js/workbench/made.js
var MOST_KNOWN = 24;
var Made = class {
  /** @type {Map<Picture, Known>} */
  #known = /* @__PURE__ */ new Map();
  /**
   * @param {Picture} picture
   * @param {Picture | null} reference null: whatever it is
   * @returns {Known}
   */
  #of(picture, reference) {
    const before = this.#known.get(picture);
    const isOld = before && reference && before.reference && before.reference !== reference;
    const known = before && !isOld ? before : { reference, errors: /* @__PURE__ */ new Map(), seen: /* @__PURE__ */ new Map() };
    known.reference ??= reference;
    this.#known.delete(picture);
    this.#known.set(picture, known);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size <= MOST_KNOWN) break;
      this.#known.delete(oldest);
    }
    return known;
  }
  /**
   * The errors against a reference; null where one of both is no picture.
   *
   * @param {Picture | undefined} picture
   * @param {Picture | null} reference
   * @param {ErrorMode} mode
   */
  errors(picture, reference, mode) {
    if (!picture?.canvas || !reference?.canvas) return null;
    const { errors } = this.#of(picture, reference);
    const map = errors.get(mode) ?? new ErrorMap(picture, reference, mode);
    errors.set(mode, map);
    return map;
  }
  /**
   * A picture of those errors.
   *
   * @param {Picture} picture
   * @param {ErrorMap} map
   * @param {number} limit
   */
  painted(picture, map, limit) {
    return this.#seen(picture, `${map.mode} ${limit}`, () => map.painted(limit));
  }
  /**
   * A picture some stops brighter.
   *
   * @param {Picture} picture
   * @param {number} stops
   */
  exposed(picture, stops2) {
    return stops2 && picture.canvas ? this.#seen(picture, `${stops2}`, () => exposedPicture(picture, stops2)) : picture;
  }
  /**
   * @param {Picture} picture
   * @param {string} key
   * @param {() => Picture} make
   */
  #seen(picture, key, make2) {
    const { seen } = this.#of(picture, null);
    const known = seen.get(key) ?? make2();
    seen.clear();
    return seen.set(key, known) && known;
  }
};

// latentfit/compare/widgets/js/workbench/sharing.js
var FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
var LINE_PX = 18;
var GAP_PX2 = 8;
var cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");
function titleOf(view, picture, reference) {
  const mode = view.mode === "picture" ? "" : `, ${MODES.find(([each]) => each === view.mode)?.[1].toLowerCase()}`;
  const latents = view.sigma || view.gain !== 1 ? `, ${settingWords(view)}` : "";
  return `${picture}${latents}${mode}${reference ? `, against ${reference}` : ""}`;
}
function wordsOf({ name, scores, isReference, standing }) {
  const words2 = isReference ? ["the reference"] : [scoreWords(scores).join("  "), standing ? BADGES[standing][0] : ""];
  return [name, words2.filter(Boolean).join("  ·  ")];
}
function markdownOf(title, rows) {
  const number = (value, digits) => isNumber(value) ? value.toFixed(digits) : "–";
  const lines = rows.map(({ name, scores, isReference, standing }) => {
    const psnr2 = isReference ? "reference" : isNumber(scores?.psnr) && scores.psnr >= 100 ? "equal" : number(scores?.psnr, 2);
    const delta = isReference ? "reference" : number(scores?.delta_e, 2);
    const seen = isReference || !standing ? "–" : BADGES[standing][0];
    return `| ${cell(name)} | ${psnr2} | ${delta} | ${number(scores?.ms, 1)} | ${seen} |`;
  });
  const head = ["| decoder | PSNR (dB) | ΔE2000 | time (ms) | this picture |", "|---|--:|--:|--:|---|"];
  return [title, "", ...head, ...lines, ""].join("\n");
}
function pngOf(title, panels, columns, { ratio, ink, soft, paper }) {
  const [{ canvas: first }] = panels;
  const gap = Math.round(GAP_PX2 * ratio);
  const line = Math.round(LINE_PX * ratio);
  const below = line * Math.max(...panels.map(({ lines }) => lines.length)) + gap;
  const head = 2 * gap + line;
  const rows = Math.ceil(panels.length / columns);
  const sheet = document.createElement("canvas");
  sheet.width = columns * (first.width + gap) + gap;
  sheet.height = head + rows * (first.height + below) + gap;
  const context = sheet.getContext("2d");
  if (!context) return Promise.resolve(null);
  const write = (text, x, y, colour, bold = false) => {
    context.fillStyle = colour;
    context.font = `${bold ? 600 : 400} ${Math.round(13 * ratio)}px ${FONT}`;
    context.fillText(text, x, y + 0.75 * line, sheet.width - 2 * gap);
  };
  context.fillStyle = paper;
  context.fillRect(0, 0, sheet.width, sheet.height);
  write(title, gap, gap, soft);
  panels.forEach(({ canvas, lines }, index) => {
    const x = gap + index % columns * (first.width + gap);
    const y = head + Math.floor(index / columns) * (first.height + below);
    context.drawImage(canvas, x, y);
    lines.forEach((text, at) => {
      write(text, x, y + first.height + Math.round(gap / 3) + at * line, at ? soft : ink, !at);
    });
  });
  return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
}
function paperOf(el) {
  const paper = make("span", { class: "lf-paper" });
  el.append(paper);
  const colour = getComputedStyle(paper).backgroundColor;
  paper.remove();
  return colour;
}

// latentfit/compare/widgets/js/workbench/strip.js
var MOST_DROPPED = 64 << 20;
var INVITATION = "Drop a picture here, or choose one";
var INVITED = "A picture of yours: it is encoded by the VAE";
var Strip = class {
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
      "aria-orientation": "horizontal"
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
      name
    );
  }
  /** @param {number} at */
  choose(at) {
    this.#chosen = at;
    this.#tiles.forEach((tile, index) => {
      tile.setAttribute("aria-selected", String(index === at));
      tile.tabIndex = index === at ? 0 : -1;
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
    const places = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last };
    const to = places[event.key];
    if (to === void 0 || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to !== at) this.onchoose(to);
    this.#tiles[to].focus({ preventScroll: true });
  }
  /** Scroll the strip, and nothing else, until the chosen tile is seen. */
  #bringIn() {
    const { list } = this;
    const tile = this.#tiles[this.#chosen];
    if (!tile || !list.clientWidth) return;
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
    const take = async (files) => {
      for (const file2 of files) {
        if (file2.size > MOST_DROPPED) {
          this.say(`${file2.name}: ${(file2.size / 2 ** 20).toFixed(0)} MiB, at most ${MOST_DROPPED >> 20} MiB`, true);
          continue;
        }
        this.say(`${file2.name} …`);
        send(file2.name, await file2.arrayBuffer());
      }
    };
    const file = make("input", { type: "file", accept: "image/*", hidden: true, "aria-label": "Picture file" });
    file.addEventListener("change", () => {
      take([...file.files ?? []]);
      file.value = "";
    });
    this.#drop = make(
      "button",
      { type: "button", class: "lf-drop", title: INVITED, onclick: () => file.click() },
      this.#words
    );
    this.element.append(this.#drop, file);
    const over = (event) => {
      if (![...event.dataTransfer?.types ?? []].includes("Files")) return;
      event.preventDefault();
      event.stopPropagation();
      el.classList.toggle("lf-over", event.type !== "dragleave" && event.type !== "drop");
      if (event.type === "drop") take([...event.dataTransfer?.files ?? []]);
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
};

// latentfit/compare/widgets/js/workbench/workbench.js
var WIDE_PX2 = 700;
var CONTROLS_PX = 300;
var LEAST_STAGE_PX2 = 350;
var CAPTION_PX = 62;
var BLINK_MS = 700;
var BUSY_MS = 150;
var STALE_MS = 400;
function workbench(el, data) {
  return new Workbench(el, data, start(el, data, "workbench")).handle;
}
var Workbench = class {
  #answers = new Answers();
  /** What a page without kernel has, by its data. @type {Map<PictureSpec, Picture>} */
  #loaded = /* @__PURE__ */ new Map();
  #made = new Made();
  #isLost = false;
  #isHolding = false;
  #isFlipped = false;
  #busyTimer = 0;
  #staleTimer = 0;
  #blinkTimer = 0;
  /** Where the colours of errors end. */
  limit = 0;
  /**
   * @param {HTMLElement} el
   * @param {WorkbenchData} data
   * @param {import("../shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.el = el;
    this.data = data;
    this.signal = signal;
    this.live = data.live ?? null;
    this.pictures = data.pictures.map((picture) => ({ ...picture }));
    this.sides = [...data.sides];
    this.view = settingsOf(data);
    const { live } = this;
    const send = (name, blob) => live?.file(name, blob);
    const takes = live && data.drops !== false ? send : null;
    this.strip = new Strip({ onchoose: (picture) => this.#set({ picture }), send: takes, el, signal });
    const bench = make("div", { class: "lf-bench" });
    const room = () => bench.clientWidth - (bench.clientWidth >= WIDE_PX2 ? CONTROLS_PX : 0);
    const { height, smooth, position } = data;
    this.host = make("div", { class: "lf-host" });
    this.pane = new Pane(this.host, {
      height,
      smooth,
      position,
      signal,
      within: bench,
      room,
      onposition: () => this.#tell()
    });
    this.grid = new PaneGrid({ height, smooth, within: bench, room, signal, below: CAPTION_PX });
    this.stale = make("p", { class: "lf-stale-words", role: "status", hidden: true });
    this.legend = new Legend((scale) => this.#set({ scale }));
    this.bar = new Bar([this.pane], {
      onsmooth: (isSmooth) => this.#smoothed(isSmooth),
      onpoint: (at) => this.#pointed(at)
    });
    this.stage = make(
      "div",
      { class: "lf-stage" },
      this.stale,
      this.host,
      this.grid.element,
      this.legend.element,
      this.bar.element
    );
    this.controls = new Controls(data, {
      onset: (part) => this.#set(part),
      onslide: (name, value) => this.#slid(name, value),
      onhold: (isHolding) => this.#hold(isHolding),
      onreset: () => this.#reset()
    });
    this.keys = new Keys();
    this.box = new CodePanel();
    this.code = codeOf(data, () => this.#values());
    this.controls.shares.append(
      ...this.code ? [this.code.toggle] : [],
      this.#copyButton(),
      this.#saveButton(),
      this.keys.toggle
    );
    bench.append(this.stage, this.controls.element);
    el.append(this.strip.element, bench, this.keys.panel, this.box.panel, ...this.code ? [this.code.panel] : []);
    this.#listen(bench);
    this.controls.choosers.offer({ sides: this.sides, reference: data.reference });
    this.strip.fill(this.pictures);
    signal.addEventListener("abort", () => clearInterval(this.#blinkTimer));
    this.handle = finish(el, {
      ready: Promise.resolve(this.#changed()).then(painted),
      update: (part) => this.update(part),
      state: () => this.state(),
      destroy: end,
      say,
      lost: (isLost) => this.#lose(isLost),
      pane: this.pane,
      grid: this.grid
    });
  }
  state() {
    const scored = Object.fromEntries(
      Object.entries(this.#answers.now).map(([name, picture]) => [name, picture.scores])
    );
    return {
      ...this.view,
      picture_name: this.pictures[this.view.picture]?.name,
      position: this.pane.position,
      zoom: this.#panes[0].zoom,
      scores: { left: scored[this.view.left] ?? null, right: scored[this.view.right] ?? null },
      waiting: this.#answers.isWaiting,
      stale: !this.stale.hidden,
      limit: this.limit
    };
  }
  /** @param {HTMLElement} bench */
  #listen(bench) {
    const { el, signal } = this;
    el.addEventListener("keydown", (event) => this.#key(event), { signal });
    window.addEventListener("keyup", (event) => event.key.toLowerCase() === "v" && this.#hold(false), { signal });
    const observer = new ResizeObserver(() => this.#fitStage());
    observer.observe(bench);
    signal.addEventListener("abort", () => observer.disconnect());
  }
  #copyButton() {
    const target = button(
      "Copy scores",
      "A table in Markdown",
      () => this.box.offer(
        markdownOf(
          this.#title,
          this.#wanted().map((name) => this.#row(name))
        ),
        target
      )
    );
    return target;
  }
  #saveButton() {
    return button("Save PNG", "What is seen now, with names and scores", () => this.#save());
  }
  // ---- settings
  get #isGrid() {
    return this.view.layout === "grid";
  }
  get #panes() {
    return this.#isGrid ? this.grid.panes : [this.pane];
  }
  /**
   * @param {string} name
   * @param {number | null} value
   */
  #slid(name, value) {
    if (name === "stop") {
      const { sigma, gain } = this.pictures[this.view.picture].views?.[value ?? 0] ?? START;
      return this.#set({ sigma, gain });
    }
    const start2 = (
      /** @type {Record<string, any>} */
      START
    );
    return this.#set({ [name]: value ?? start2[name] });
  }
  /** @param {Partial<Settings>} part */
  #set(part) {
    const names = part.grid && this.sides.filter((name) => part.grid?.includes(name));
    const order = names && [...names].sort((a, b) => Number(b === this.data.reference) - Number(a === this.data.reference));
    Object.assign(this.view, part, order ? { grid: order } : {});
    return this.#changed();
  }
  #reset() {
    this.pane.reset();
    this.grid.reset();
    return this.#set(
      /** @type {Partial<Settings>} */
      { ...START }
    );
  }
  async #changed() {
    this.#showControls();
    if (this.live) this.#ask();
    else await this.#draw();
    this.#tell();
  }
  #showControls() {
    const { view } = this;
    this.controls.show(view);
    this.strip.choose(view.picture);
    this.host.hidden = this.#isGrid;
    this.grid.element.hidden = !this.#isGrid;
    const isBlinking = view.layout === "blink";
    if (isBlinking && !this.#blinkTimer) this.#blinkTimer = window.setInterval(() => this.#blink(), BLINK_MS);
    if (!isBlinking) {
      clearInterval(this.#blinkTimer);
      this.#blinkTimer = 0;
      this.#isFlipped = false;
    }
  }
  /** @param {boolean} isSmooth */
  #smoothed(isSmooth) {
    for (const pane of [this.pane, ...this.grid.panes]) pane.smooth = isSmooth;
    this.grid.smooth = isSmooth;
    this.#tell();
  }
  // ---- what is shown
  /** Name -> Picture of the present view, as far as it is there. */
  #present() {
    if (this.live) return this.#answers.now;
    const { picture, sigma, gain } = this.view;
    const views = this.pictures[picture]?.views ?? [];
    const chosen = views.find((view) => view.sigma === sigma && view.gain === gain) ?? views[0] ?? { sides: {} };
    const load = (name) => {
      const spec = chosen.sides[name] ?? { reason: `there is no picture of ${name}` };
      const known = this.#loaded.get(spec) ?? new Picture(spec);
      this.#loaded.set(spec, known);
      return known;
    };
    this.#answers.now = Object.fromEntries(this.#wanted().map((name) => [name, load(name)]));
    return this.#answers.now;
  }
  /** Names that are looked at, and the reference. */
  #wanted() {
    const { reference } = this.data;
    return [.../* @__PURE__ */ new Set([...namesOf(this.view), ...reference ? [reference] : []])];
  }
  /** Of errors the reference's own is nothing to see, where there is another. */
  #compared() {
    const names = namesOf(this.view);
    const others = names.filter((name) => name !== this.data.reference);
    return this.view.mode !== "picture" && others.length ? others : names;
  }
  async #draw() {
    const sides = this.#present();
    await Promise.all(Object.values(sides).map((picture) => picture.ready));
    if (this.signal.aborted) return;
    const names = this.#compared();
    const { mode, scale } = this.view;
    const reference = sides[this.data.reference ?? ""] ?? null;
    const maps = mode === "picture" ? [] : names.flatMap((name) => this.#made.errors(sides[name], reference, mode) ?? []);
    this.limit = mode === "picture" ? 0 : limitOf(mode, scale, maps);
    const pictures = this.#isHolding && reference ? names.map(() => this.#labelled(this.#made.exposed(reference, this.view.exposure), this.data.reference ?? "")) : names.map((name) => this.#labelled(this.#seen(sides[name], reference), name));
    this.#put(names, pictures, reference);
    this.#write(names, sides, reference);
    const shown = names.flatMap((name) => {
      const map = mode === "picture" ? null : this.#made.errors(sides[name], reference, mode);
      return map ? [{ name, map }] : [];
    });
    this.legend.show(mode, scale, this.limit, shown);
    this.bar.refresh();
    this.#sayStale();
  }
  /**
   * Pictures go into their panes.
   *
   * @param {string[]} names
   * @param {Picture[]} pictures
   * @param {Picture | null} reference
   */
  #put(names, pictures, reference) {
    const wanted = reference?.canvas ? (
      /** @type {[number, number]} */
      [reference.width, reference.height]
    ) : null;
    if (this.#isGrid) {
      this.grid.count(names.length);
      const sizes = pictures.filter((picture) => picture.canvas).map(({ width, height }) => (
        /** @type {[number, number]} */
        [width, height]
      ));
      const largest = wanted ?? sizes.sort((a, b) => b[0] * b[1] - a[0] * a[1])[0] ?? null;
      this.grid.panes.forEach((pane, at) => {
        pane.wantedGrid = largest;
        pane.show(pictures[at]);
        pane.describe(this.#sentence([names[at]]));
      });
      this.grid.layOut();
    } else {
      const isOne = names.length === 1 || this.view.layout === "blink";
      const [first, second = first] = pictures;
      this.pane.whole = isOne || this.#isHolding;
      this.pane.keepsHandle = this.#isHolding && !isOne;
      this.pane.wantedGrid = wanted;
      if (isOne) this.pane.show(this.#isFlipped ? second : first, this.#isFlipped ? second : first);
      else this.pane.show(first, second);
      this.pane.describe(this.#sentence(names));
    }
    if (this.bar.panes !== this.#panes) this.bar.over(this.#panes);
    this.#fitStage();
  }
  /** The stage is as wide as what stands on it. */
  #fitStage() {
    const shown = this.#isGrid ? this.grid.element : this.pane.element;
    const wide = this.#isGrid ? [...this.grid.panes.map((pane) => pane.element.offsetLeft + pane.element.offsetWidth)].reduce(
      (a, b) => Math.max(a, b),
      0
    ) - shown.offsetLeft : shown.offsetWidth;
    if (wide > 0) this.stage.style.width = `${Math.max(wide, Math.min(LEAST_STAGE_PX2, this.grid.room()))}px`;
  }
  /** @param {string[]} names */
  #sentence(names) {
    const { mode } = this.view;
    const picture = this.pictures[this.view.picture]?.name ?? "a picture";
    const what = mode === "picture" ? "" : `${MODES.find(([each]) => each === mode)?.[1]} of `;
    const [first, second] = names.map((name) => {
      const { psnr: psnr2, delta_e } = this.#answers.now[name]?.scores ?? {};
      const words2 = scoreWords({ psnr: psnr2, delta_e }).join(", ");
      return words2 ? `${name} (${words2})` : name;
    });
    if (!second) return `${picture}: ${what}${first}`;
    const both = this.view.layout === "blink" ? `${first} and ${second} in turns` : `${first} left of the line, ${second} right of it`;
    return `${picture}: ${what}${both}`;
  }
  /**
   * @param {Picture} picture
   * @param {string} label
   */
  #labelled(picture, label) {
    picture.label = label;
    return picture;
  }
  /**
   * A side as the mode shows it; made once.
   *
   * @param {Picture | undefined} picture
   * @param {Picture | null} reference
   */
  #seen(picture, reference) {
    const { mode, exposure } = this.view;
    if (!picture) return new Picture({ reason: "not there yet" });
    if (mode === "picture") return this.#made.exposed(picture, exposure);
    if (!picture.canvas) return picture;
    const map = this.#made.errors(picture, reference, mode);
    if (!map) return new Picture({ reason: `${this.data.reference} gives no picture to compare with` });
    return this.#made.painted(picture, map, this.limit);
  }
  /**
   * Scores, badges, and what is said below.
   *
   * @param {string[]} names
   * @param {Record<string, Picture>} sides
   * @param {Picture | null} reference
   */
  #write(names, sides, reference) {
    const { left, right } = this.view;
    this.controls.choosers.write("left", left, sides[left]?.scores, this.#standing(left));
    this.controls.choosers.write("right", right, sides[right]?.scores, this.#standing(right));
    if (this.#isGrid)
      names.forEach((name, at) => {
        const scores = make("p", { class: "lf-scores" });
        writeScores(scores, sides[name]?.scores, name === this.data.reference, this.#standing(name));
        this.grid.captions[at].replaceChildren(make("b", { class: "lf-name" }, name), scores);
      });
    const size = reference?.canvas ? `, as seen at ${reference.width} × ${reference.height} px` : "";
    const about = this.data.reference ? `Scores against ${this.data.reference}, on the same latents${size}.` : "";
    const own = this.pictures[this.view.picture]?.note ?? "";
    this.controls.note.replaceChildren(
      ...[about, own, this.#answers.estimate].filter(Boolean).map((text) => make("span", {}, text))
    );
  }
  /**
   * @param {string} name
   * @returns {import("../types.d.ts").Standing}
   */
  #standing(name) {
    const picture = this.pictures[this.view.picture];
    const own = picture?.standings ?? {};
    return name in own ? own[name] : picture?.standing ?? null;
  }
  /** @param {[number, number] | null} at */
  #pointed(at) {
    if (!at || this.view.mode === "picture") return this.legend.point([]);
    const [column, row] = at;
    const maps = this.#panes.flatMap((pane) => pane.divided && !pane.whole ? [pane.left, pane.right] : [pane.left]);
    return this.legend.point(maps.flatMap((picture) => picture?.errors?.values[row * picture.width + column] ?? []));
  }
  // ---- in turns
  #blink() {
    if (this.#isHolding) return;
    this.#isFlipped = !this.#isFlipped;
    this.#draw();
  }
  /** @param {boolean} isHolding the VAE's button or key */
  #hold(isHolding) {
    if (this.#isHolding === isHolding || !this.data.reference) return;
    this.#isHolding = isHolding;
    this.controls.hold.setAttribute("aria-pressed", String(isHolding));
    this.stage.classList.toggle("lf-holding", isHolding);
    this.#draw();
  }
  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = (
      /** @type {HTMLElement} */
      event.target
    );
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input[type=number], textarea"))
      return;
    const { layout } = this.view;
    const mode = /^[1-4]$/.test(event.key) && this.controls.modes[+event.key - 1]?.dataset.mode;
    const key = event.key.toLowerCase();
    if (mode) this.#set({ mode: (
      /** @type {Settings["mode"]} */
      mode
    ) });
    else if (key === "v") this.#hold(true);
    else if (key === "b") this.#set({ layout: layout === "blink" ? "split" : "blink" });
    else if (key === "g") this.#set({ layout: layout === "grid" ? "split" : "grid" });
    else if (key === " " && layout === "blink" && target.closest(".lf-pane")) this.#pause();
    else if (key === "?") this.keys.turn();
    else return;
    event.preventDefault();
  }
  /** Blinking stops at the other picture; the next time it goes on. */
  #pause() {
    if (this.#blinkTimer) {
      clearInterval(this.#blinkTimer);
      this.#blinkTimer = 0;
    } else this.#blinkTimer = window.setInterval(() => this.#blink(), BLINK_MS);
    this.#blink();
  }
  // ---- what leaves the page
  get #title() {
    return titleOf(this.view, this.pictures[this.view.picture]?.name ?? "", this.data.reference);
  }
  /**
   * What a table or a caption says of a decoder.
   *
   * @param {string} name
   */
  #row(name) {
    const scores = this.#answers.now[name]?.scores ?? null;
    return { name, scores, isReference: name === this.data.reference, standing: this.#standing(name) };
  }
  async #save() {
    const names = this.view.layout === "blink" ? [this.pane.left?.label ?? ""] : this.#compared();
    const words2 = names.map((name) => wordsOf(this.#row(name)));
    const places = names.length > 1 ? ["left: ", "right: "] : [""];
    const panels = this.#isGrid ? this.grid.panes.map(({ canvas }, at) => ({ canvas, lines: words2[at] })) : [{ canvas: this.pane.canvas, lines: words2.map((each, at) => places[at] + each.join("  ")) }];
    const ink = getComputedStyle(this.el).color;
    const soft = getComputedStyle(this.controls.note).color;
    const look = { ratio: this.pane.ratio, ink, soft, paper: paperOf(this.el) };
    const blob = await pngOf(this.#title, panels, this.#isGrid ? this.grid.columns : 1, look);
    const file = [this.pictures[this.view.picture]?.name ?? "picture", ...names].join(" ").replace(/[^\w.-]+/g, "_");
    if (blob) keep(`${file.slice(0, 120)}.png`, blob);
  }
  // ---- with a kernel
  #values() {
    const { picture, ...rest } = this.view;
    const position = +this.pane.position.toFixed(2);
    return { ...rest, picture: this.pictures[picture]?.name, at: picture, position, smooth: this.pane.smooth };
  }
  /** The kernel is asked for what the page lacks. */
  #ask() {
    const question = this.#answers.question(this.view, this.#wanted());
    if (question) {
      this.#wait(true);
      this.live?.newest("view", question);
      this.#sayStale();
    } else if (this.#answers.shown) this.#draw();
  }
  /** @param {boolean} isWaiting for the kernel */
  #wait(isWaiting) {
    clearTimeout(this.#busyTimer);
    clearTimeout(this.#staleTimer);
    if (!isWaiting) {
      this.controls.busy.hidden = true;
      return;
    }
    this.#busyTimer = window.setTimeout(() => {
      this.controls.busy.hidden = false;
    }, BUSY_MS);
    this.#staleTimer = window.setTimeout(() => this.#sayStale(true), STALE_MS);
  }
  /**
   * What is still of another setting is dimmed, and says of which.
   *
   * @param {boolean} isLate whether the kernel takes its time
   */
  #sayStale(isLate = false) {
    const { shown, isWaiting, now } = this.#answers;
    const lacks = this.#wanted().some((name) => !(name in now));
    const isOld = shown !== null && (lacks || !this.#answers.isOf(this.view));
    const isSaid = this.#isLost || isLate || !this.stale.hidden;
    const isStale = isOld && isSaid && (isWaiting || this.#isLost);
    this.stale.hidden = !isStale;
    this.stage.classList.toggle("lf-stale", isStale);
    if (!isStale || !shown) return;
    const picture = this.pictures[shown.picture]?.name.split("/").pop() ?? "";
    this.stale.textContent = `Still of ${picture}, ${namesOf(shown).join(" and ")}, ${settingWords(shown)}`;
  }
  /** @param {boolean} isLost whether the kernel is gone or silent */
  #lose(isLost) {
    if (this.#isLost === isLost) return;
    this.#isLost = isLost;
    this.el.classList.toggle("lf-lost", isLost);
    this.#sayStale(isLost);
  }
  #tell() {
    this.live?.newest("look", this.#values());
    this.code?.refresh();
  }
  /**
   * A message of the kernel: sides of a view, pictures that came, settings.
   *
   * @param {Partial<Answer> & { all_sides?: string[], pictures?: WorkbenchPicture[], note?: string, failed?: boolean,
   *   view?: Partial<Settings> & { smooth?: boolean }, position?: number }} part
   */
  async update(part) {
    if (part.sides) await this.#answer(
      /** @type {Answer} */
      part
    );
    if (part.all_sides) {
      this.sides = part.all_sides;
      this.controls.choosers.offer({ sides: this.sides, reference: this.data.reference });
      this.#showControls();
    }
    if (part.pictures) {
      this.pictures = part.pictures;
      this.strip.fill(this.pictures);
      this.#showControls();
    }
    if (part.note !== void 0) this.strip.say(part.note, part.failed);
    if (part.view) {
      const { smooth, ...view } = part.view;
      if (smooth !== void 0) for (const pane of [this.pane, ...this.grid.panes]) pane.smooth = smooth;
      await this.#set(view.grid?.length ? view : { ...view, grid: this.view.grid });
    }
    if (part.position !== void 0) this.pane.moveTo(part.position);
  }
  /** @param {Answer} answer */
  async #answer(answer) {
    if (this.#answers.lacks(answer)) return this.#ask();
    const isWanted = this.#answers.take(answer, this.view);
    if (!this.#answers.isWaiting) this.#wait(false);
    if (!isWanted) return;
    await this.#draw();
    this.code?.refresh();
  }
};

// latentfit/compare/widgets/js/index.js
var KINDS = { curtain, table_editor: tableEditor, step_scrubber: stepScrubber, workbench };
function mount(el, kind, data) {
  const build = KINDS[kind];
  if (!build) throw new Error(`latentfit: no widget of kind ${JSON.stringify(kind)}`);
  return build(el, data);
}
function render({ model, el }) {
  const ender = new AbortController();
  let handle = null;
  const say = (text) => {
    handle?.say(text);
    handle?.lost?.(Boolean(text));
  };
  const line = new Line(model, say, ender.signal);
  const page = mount(el, model.get("kind"), { ...model.get("page"), ...model.get("now"), live: line });
  handle = page;
  const hear = (message, buffers) => {
    line.hear(message);
    if (message.type === "update") page.update(withBuffers(message.part, buffers ?? []));
  };
  model.on("msg:custom", hear);
  return () => {
    model.off("msg:custom", hear);
    ender.abort();
    page.destroy();
  };
}
var index_default = { render };
export {
  MapPlane,
  curtain,
  index_default as default,
  deltaE2000,
  enlarge,
  mount,
  placeOf,
  stepScrubber,
  tableEditor,
  workbench
};
