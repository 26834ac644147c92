/* latentfit: curtains, a workbench, a table editor and a step scrubber. One ES module, no imports, no network.

Layer 1, for any page: plain functions of an element and plain data. Layer 2, at the end of the file: anywidget's
`render`, which joins them to a kernel. To put layer 1 into a page, write widgets.css into a style element and this file
into a script element of type "module", and after it, in the same element, your own lines: mount(el, kind, data).

  mount(el, kind, data) -> handle     kind: "curtain", "table_editor", "step_scrubber", "workbench"
  curtain(el, data), tableEditor(el, data), stepScrubber(el, data), workbench(el, data) -> handle

A handle is { el, ready, update(part of data), state(), destroy() }; it also stands at el.latentfit. `ready` is a promise
that the first picture is painted; `state()` gives a plain object. data.theme is "light", "dark" or absent: JupyterLab's
colours where they are, else those that the system prefers.

PICTURE: one of
  { src }                      a URL, also data:image/png;base64,…
  { bytes }                    a file's bytes: Uint8Array, ArrayBuffer or DataView
  { pixels, width, height }    raw RGB or RGBA of 8 bit, row by row: bytes, or base64
  { canvas }                   an HTMLCanvasElement
  { reason }                   why there is none: stands where the picture would be
and, with any of them, label, note (small, under the label), scores: { psnr, delta_e, ms }, numbers or null.
ARRAY: { shape, dtype: "float32" | "float16" | "uint8", data: bytes or base64 }, little endian, C order.

curtain
  left, right      PICTURE; two sizes are shown to the extent of the larger, two shapes each in its own
  position         0 to 100 (50)
  smooth           true: the smaller one is enlarged bilinearly; false: as blocks
  height           most CSS pixels of the pane (560)
  title, code      strings, or absent
step_scrubber
  names            one pane each
  steps            [{ index, timestep, sigma, ms, pictures: { name: PICTURE } }]; numbers may be null
  position         number of the step that is shown first (the last)
  smooth, height (360), title, code
workbench
  pictures         [{ name, note, thumb: PICTURE, views: [{ sigma, gain, sides: { name: PICTURE } }] }]: the first view is
                   the plain one (sigma 0, gain 1); the others make a slider with these stops
  sides            names to choose from, in order
  reference        the name that scores and error maps are against, or null
  picture (0), left (the first that is not the reference), right (the reference, or the second)
  mode             "picture", "brightness", "delta_e", "difference"; the maps are made in the page
  exposure         stops (0)
  position, smooth, height, title
  code             text in which {picture} {left} {right} {mode} {sigma} {gain} {exposure} {position} are put in as JSON
table_editor
  name, space      strings
  n_channels, kernels, intercept, terms, factors    as PolynomialMap and Basis have them
  coefficients     ARRAY or rows, (1 + n_terms, 3), signed range: what "Reset" gives back
  edited           likewise: what is shown first, where that is something else
  solution         likewise, or null: least squares; "Nudge" goes a quarter of the way there
  solution_label   where it is from
  pictures         [{ name, latents: ARRAY (C, h, w), cells: ARRAY (3, h, w) in [0, 1], or null }]
  document         a parsed latentfit-table/1, which "Export" writes with the edited numbers, or null
  picture (0), smooth (false), height (420), title, code
*/

// ------------------------------------------------------------------------------------------------ small things

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** An element with attributes, listeners (onclick: …) and children. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

function button(text, title, onclick, attributes = {}) {
  return make("button", { type: "button", class: "lf-button", title, "aria-label": title, onclick, ...attributes }, text);
}

function bytesOf(value) {
  if (typeof value === "string") return Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
}

function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** ARRAY, or rows of numbers -> Float64Array. */
function numbersOf(array) {
  if (Array.isArray(array)) return Float64Array.from(array.flat());
  const bytes = bytesOf(array.data).slice(); // typed arrays want aligned memory
  if (array.dtype === "uint8") return Float64Array.from(bytes);
  if (array.dtype === "float16") return Float64Array.from(new Uint16Array(bytes.buffer), fromHalf);
  return Float64Array.from(new Float32Array(bytes.buffer));
}

/** Runs at most once a frame. */
function onFrame(work) {
  let asked = 0;
  const run = () => {
    asked = 0;
    work();
  };
  return () => {
    asked ||= requestAnimationFrame(run);
  };
}

function scoreWords(scores) {
  if (!scores) return [];
  const words = [];
  if (isNumber(scores.psnr)) words.push(scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB`);
  if (isNumber(scores.delta_e)) words.push(`ΔE ${scores.delta_e.toFixed(1)}`);
  if (isNumber(scores.ms)) words.push(msWords(scores.ms));
  return words;
}

const msWords = (ms) => `${ms < 10 ? ms.toPrecision(2) : ms.toFixed(0)} ms`;

// ------------------------------------------------------------------------------------------------ pictures

/** A PICTURE that is loaded, with copies on larger grids. */
class Picture {
  #grids = new Map();
  #rgba = null;

  constructor(spec = {}) {
    Object.assign(this, { label: "", note: "", scores: null, reason: "" }, pick(spec, ["label", "note", "scores", "reason"]));
    this.canvas = null;
    this.ready = this.reason ? Promise.resolve(this) : this.#load(spec);
  }

  get width() {
    return this.canvas?.width ?? 0;
  }

  get height() {
    return this.canvas?.height ?? 0;
  }

  #load(spec) {
    if (spec.canvas) this.canvas = spec.canvas;
    else if (spec.pixels) this.put(bytesOf(spec.pixels), spec.width, spec.height);
    else if (spec.src || spec.bytes) return this.#decode(spec);
    else this.reason = "no picture was given";
    return Promise.resolve(this);
  }

  async #decode(spec) {
    const url = spec.src ?? URL.createObjectURL(new Blob([bytesOf(spec.bytes)]));
    try {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = make("canvas", { width: image.naturalWidth, height: image.naturalHeight });
      canvas.getContext("2d", { willReadFrequently: true }).drawImage(image, 0, 0);
      this.canvas = canvas;
    } catch {
      this.reason = "the picture cannot be decoded by this browser";
    } finally {
      if (!spec.src) URL.revokeObjectURL(url);
    }
    return this;
  }

  /** Raw RGB or RGBA becomes the picture's pixels. */
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

  putImage(rgba) {
    if (this.width !== rgba.width || this.height !== rgba.height)
      this.canvas = make("canvas", { width: rgba.width, height: rgba.height });
    this.canvas.getContext("2d", { willReadFrequently: true }).putImageData(rgba, 0, 0);
    this.#rgba = rgba;
    this.#grids.clear();
  }

  get rgba() {
    this.#rgba ??= this.canvas.getContext("2d", { willReadFrequently: true }).getImageData(0, 0, this.width, this.height);
    return this.#rgba;
  }

  /** This picture enlarged bilinearly to another grid of pixels, and kept. */
  onGrid(width, height) {
    if (width === this.width && height === this.height) return this;
    const key = `${width}x${height}`;
    if (!this.#grids.has(key)) {
      const larger = new Picture({ pixels: enlarge(this.rgba, width, height), width, height });
      this.#grids.set(key, larger);
    }
    return this.#grids.get(key);
  }
}

const pick = (object, names) => Object.fromEntries(names.filter((name) => object[name]).map((name) => [name, object[name]]));

/** ImageData -> RGBA bytes of another size: bilinear, pixel centres at halves, the triangle wider along an axis that shrinks; as
 * latentfit.scores.held_out.as_seen. */
export function enlarge(rgba, width, height) {
  const across = tapsOf(rgba.width, width), down = tapsOf(rgba.height, height);
  const out = new Uint8ClampedArray(4 * width * height), rows = new Map(), sum = new Float32Array(3 * width);
  const row = (y) => {
    const line = new Float32Array(3 * width), start = 4 * y * rgba.width;
    across.forEach(([first, weights], x) => {
      for (let tap = 0, at = start + 4 * first; tap < weights.length; tap++, at += 4)
        for (let c = 0; c < 3; c++) line[3 * x + c] += weights[tap] * rgba.data[at + c];
    });
    return line;
  };
  down.forEach(([first, weights], y) => {
    for (const known of rows.keys()) if (known < first) rows.delete(known);
    sum.fill(0);
    weights.forEach((weight, tap) => {
      if (!rows.has(first + tap)) rows.set(first + tap, row(first + tap));
      const line = rows.get(first + tap);
      for (let i = 0; i < sum.length; i++) sum[i] += weight * line[i];
    });
    for (let x = 0, from = 0, to = 4 * y * width; x < width; x++, to += 4) {
      for (let c = 0; c < 3; c++) out[to + c] = sum[from++];
      out[to + 3] = 255;
    }
  });
  return out;
}

/** For each of `to` places: the first of `from` that it sees, and the weights of that one and those after it. */
function tapsOf(from, to) {
  const reach = Math.max(1, from / to);
  return Array.from({ length: to }, (_, i) => {
    const middle = ((i + 0.5) * from) / to;
    const first = Math.max(0, Math.floor(middle - reach + 0.5)), end = Math.min(from, Math.floor(middle + reach + 0.5));
    const weights = Array.from({ length: end - first }, (_, tap) => Math.max(0, 1 - Math.abs(first + tap + 0.5 - middle) / reach));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return [first, weights.map((weight) => weight / total)];
  });
}

// ------------------------------------------------------------------------------------------------ colour

const LINEAR = Float32Array.from({ length: 256 }, (_, level) => {
  const value = level / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});
const encoded = (linear) => (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055);

const colours = (hex) => hex.split(" ").map((text) => [0, 2, 4].map((at) => parseInt(text.slice(at, at + 2), 16)));
// ColorBrewer's RdBu, reversed, and Matplotlib's magma, as the figures have them
const SIGNED = colours("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f");
const MAGMA = colours("000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf");
const MOST_SIGNED = 0.4, MOST_DELTA_E = 30, AMPLIFIED = 4; // as in latentfit.compare.figures.errors

function paintLevel(stops, share, out, to) {
  const at = clamp(share, 0, 1) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2), w = at - low;
  for (let c = 0; c < 3; c++) out[to + c] = stops[low][c] * (1 - w) + stops[low + 1][c] * w;
}

/** Where to show an error: [title, from, to] of its colour scale; null for a picture. */
const SCALES = {
  brightness: [SIGNED, `−${MOST_SIGNED}`, `+${MOST_SIGNED}`, "brightness, of 1"],
  delta_e: [MAGMA, "0", `${MOST_DELTA_E}`, "ΔE (CIEDE2000)"],
};

function labOf(rgba) {
  const n = rgba.length / 4, lab = new Float32Array(3 * n);
  const curve = (t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
  for (let i = 0; i < n; i++) {
    const r = LINEAR[rgba[4 * i]], g = LINEAR[rgba[4 * i + 1]], b = LINEAR[rgba[4 * i + 2]];
    const x = curve((0.412453 * r + 0.35758 * g + 0.180423 * b) / 0.95047);
    const y = curve(0.212671 * r + 0.71516 * g + 0.072169 * b);
    const z = curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
    lab[3 * i] = 116 * y - 16;
    lab[3 * i + 1] = 500 * (x - y);
    lab[3 * i + 2] = 200 * (y - z);
  }
  return lab;
}

const ofSeventhPower = (chroma) => {
  const seventh = chroma ** 7;
  return Math.sqrt(seventh / (seventh + 6103515625));
};

/** CIEDE2000 of two RGBA byte arrays of equal size -> Float32Array (Sharma, Wu and Dalal, 2005). */
export function deltaE2000(first, second) {
  const one = labOf(first), two = labOf(second), out = new Float32Array(first.length / 4), degree = Math.PI / 180;
  for (let i = 0; i < out.length; i++) {
    const l1 = one[3 * i], l2 = two[3 * i], b1 = one[3 * i + 2], b2 = two[3 * i + 2];
    let a1 = one[3 * i + 1], a2 = two[3 * i + 1];
    if (l1 === l2 && a1 === a2 && b1 === b2) continue;
    const stretch = 1.5 - 0.5 * ofSeventhPower((Math.hypot(a1, b1) + Math.hypot(a2, b2)) / 2);
    a1 *= stretch;
    a2 *= stretch;
    const c1 = Math.hypot(a1, b1), c2 = Math.hypot(a2, b2), chroma = (c1 + c2) / 2;
    const h1 = Math.atan2(b1, a1), h2 = Math.atan2(b2, a2);
    let turn = c1 * c2 === 0 ? 0 : h2 - h1;
    if (turn > Math.PI) turn -= 2 * Math.PI;
    else if (turn < -Math.PI) turn += 2 * Math.PI;
    let hue = c1 * c2 === 0 ? h1 + h2 : h1 + turn / 2;
    if (hue < 0) hue += 2 * Math.PI;
    const dH = 2 * Math.sqrt(c1 * c2) * Math.sin(turn / 2);
    const t = 1 - 0.17 * Math.cos(hue - 30 * degree) + 0.24 * Math.cos(2 * hue)
      + 0.32 * Math.cos(3 * hue + 6 * degree) - 0.2 * Math.cos(4 * hue - 63 * degree);
    const offGrey = ((l1 + l2) / 2 - 50) ** 2;
    const turned = 60 * degree * Math.exp(-(((hue / degree - 275) / 25) ** 2));
    const dl = (l2 - l1) / (1 + (0.015 * offGrey) / Math.sqrt(20 + offGrey));
    const dc = (c2 - c1) / (1 + 0.045 * chroma), dh = dH / (1 + 0.015 * chroma * t);
    out[i] = Math.sqrt(Math.max(0, dl * dl + dc * dc + dh * dh - 2 * Math.sin(turned) * ofSeventhPower(chroma) * dc * dh));
  }
  return out;
}

/** The error of a picture against a reference, as a picture at the reference's size. */
function errorPicture(picture, reference, mode) {
  const { width, height } = reference, shown = picture.onGrid(width, height).rgba.data, truth = reference.rgba.data;
  const out = new Uint8ClampedArray(shown.length).fill(255);
  const delta = mode === "delta_e" ? deltaE2000(shown, truth) : null;
  for (let to = 0; to < out.length; to += 4) {
    if (delta) paintLevel(MAGMA, delta[to / 4] / MOST_DELTA_E, out, to);
    else if (mode === "brightness") {
      const signed = (shown[to] + shown[to + 1] + shown[to + 2] - truth[to] - truth[to + 1] - truth[to + 2]) / 765;
      paintLevel(SIGNED, 0.5 + signed / (2 * MOST_SIGNED), out, to);
    } else for (let c = 0; c < 3; c++) out[to + c] = 127.5 + AMPLIFIED * (shown[to + c] - truth[to + c]);
  }
  return new Picture({ pixels: out, width, height });
}

/** A picture some stops brighter, in linear light; where it is enlarged, that is done first, as in the figure. */
function exposedPicture(picture, stops) {
  const gain = 2 ** stops, levels = Uint8ClampedArray.from(LINEAR, (linear) => 255 * encoded(Math.min(1, gain * linear)));
  const brighter = ({ rgba, width, height }) =>
    new Picture({ pixels: Uint8ClampedArray.from(rgba.data, (level, at) => (at % 4 === 3 ? level : levels[level])), width, height });
  const made = brighter(picture), grids = new Map([[picture, made]]);
  made.onGrid = (width, height) => {
    const larger = picture.onGrid(width, height);
    if (!grids.has(larger)) grids.set(larger, brighter(larger));
    return grids.get(larger);
  };
  return made;
}

// ------------------------------------------------------------------------------------------------ panes

const LEAST_STAGE_PX = 350; // below a small picture the buttons still stand in a line
const ZOOMS = [1 / 16, 1 / 12, 1 / 8, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128];

/** Where a picture lies on a grid: all of it where their shapes agree to 2 % or a pixel of the picture, else in its middle, as
 * large as fits; as latentfit.compare.figures.canvas.placed. */
export function placeOf([width, height], [wide, high]) {
  const apart = Math.abs(width * high - height * wide);
  if (apart <= Math.max(0.02 * width * high, wide, high)) return { x: 0, y: 0, width: wide, height: high };
  const scale = Math.min(wide / width, high / height);
  const place = { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) };
  return { x: Math.floor((wide - place.width) / 2), y: Math.floor((high - place.height) / 2), ...place };
}

/** What is looked at: screen pixels per picture pixel (0: as large as fits) and the middle, as shares of the picture. */
class View {
  zoom = 0;
  x = 0.5;
  y = 0.5;
  panes = new Set();

  draw() {
    for (const pane of this.panes) pane.draw();
  }

  reset() {
    Object.assign(this, { zoom: 0, x: 0.5, y: 0.5 });
    this.draw();
  }
}

// A wheel that began to turn elsewhere scrolls the page on, over our panes too
let scrolledElsewhere = -Infinity;
const watchScrolling = (() => {
  let watched = false;
  return () => {
    if (watched) return;
    watched = true;
    const note = (event) => {
      if (!event.target?.closest?.(".lf-pane")) scrolledElsewhere = event.timeStamp;
    };
    window.addEventListener("wheel", note, { capture: true, passive: true });
  };
})();

/** One or two pictures on a canvas of screen pixels; with two, a curtain between them. */
class Pane {
  #pointers = new Map();
  #wheel = 0;
  #drag = null;
  #grab = 0;
  #size = [0, 0];
  fitted = 1; // as of the last resize: while a theme loads there is no room for a moment, and what is painted then stays

  constructor(host, { view = new View(), height = 560, smooth = true, divided = true, position = 50, onposition, signal, stage = null, within = host, room = () => within.clientWidth }) {
    Object.assign(this, { host, view, most: height, smooth, divided, position, onposition, stage, within, room, left: null, right: null, onmove: null });
    this.grid = [1, 1];
    this.whole = false; // both sides are one picture: no curtain
    this.canvas = make("canvas", { class: "lf-canvas" });
    this.leftSide = this.#side("left");
    this.rightSide = this.#side("right");
    this.handle = make("div", { class: "lf-handle", role: "slider", tabindex: 0, "aria-valuemin": 0, "aria-valuemax": 100 },
      make("span", { class: "lf-knob" }));
    this.element = make("div", { class: "lf-pane" }, this.canvas, this.leftSide.box);
    if (divided) this.element.append(this.rightSide.box, this.handle);
    else this.element.setAttribute("tabindex", 0);
    host.append(this.element);
    this.draw = onFrame(() => this.#paint());
    view.panes.add(this);
    this.#listen(signal);
    signal.addEventListener("abort", () => view.panes.delete(this));
  }

  #side(which) {
    const name = make("b"), note = make("small"), reason = make("p", { class: "lf-reason" });
    const tag = make("span", { class: "lf-tag" }, name, note);
    return { box: make("div", { class: `lf-side lf-${which}` }, tag, reason), tag, name, note, reason };
  }

  show(left, right = null) {
    this.left = left;
    this.right = right;
    const sizes = [left, right].filter((picture) => picture?.canvas).map((picture) => [picture.width, picture.height]);
    const largest = sizes.reduce((most, size) => (size[0] * size[1] > most[0] * most[1] ? size : most), [0, 0]);
    if (this.wantedGrid || largest[0]) this.grid = this.wantedGrid ?? largest; // a reason's pane is as large as the others
    for (const [side, picture] of [[this.leftSide, left], [this.rightSide, right]]) {
      side.name.textContent = picture?.label ?? "";
      side.note.textContent = picture?.note ?? "";
      side.tag.hidden = (!picture?.label && !picture?.note) || (this.whole && side === this.rightSide);
      side.reason.textContent = picture?.reason ?? "";
      side.reason.hidden = !picture?.reason;
    }
    this.handle.setAttribute("aria-label", `Curtain: ${left?.label || "left"} on its left, ${right?.label || "right"} on its right`);
    this.resize();
  }

  get ratio() {
    return window.devicePixelRatio || 1;
  }

  /** Screen pixels per picture pixel when all of it is shown: whole, unless that would leave much of the room empty. */
  fit(width, height) {
    const zoom = Math.min(width / this.grid[0], height / this.grid[1]), whole = Math.floor(zoom + 1e-6);
    return whole >= 0.8 * zoom ? whole : zoom;
  }

  get zoom() {
    return this.view.zoom || this.fitted;
  }

  #room() {
    const tall = Math.min(this.most, Math.max(200, 0.82 * window.innerHeight));
    return [Math.max(1, this.room()) * this.ratio, tall * this.ratio];
  }

  resize() {
    if (!this.within.clientWidth) return; // not laid out, as in a closed fold
    const [wide, tall] = this.#room(), zoom = this.fit(wide, tall), ratio = this.ratio;
    this.fitted = zoom;
    const width = clamp(Math.round(this.grid[0] * zoom), Math.min(wide, 240 * ratio), wide);
    const height = clamp(Math.round(this.grid[1] * zoom), Math.min(tall, 120 * ratio), tall);
    this.#size = [Math.floor(width), Math.floor(height)];
    this.element.style.width = `${this.#size[0] / ratio}px`;
    this.element.style.height = `${this.#size[1] / ratio}px`;
    if (this.stage) this.stage.style.width = `${Math.max(this.#size[0] / ratio, Math.min(LEAST_STAGE_PX, this.room()))}px`;
    this.draw();
  }

  /** Screen pixel at which the picture begins: whole, so that picture pixels are whole too. */
  #origin(zoom) {
    return [this.view.x, this.view.y].map((middle, axis) => {
      const extent = this.grid[axis] * zoom, room = this.#size[axis];
      if (extent <= room) return Math.floor((room - extent) / 2);
      return Math.round(clamp(room / 2 - middle * extent, room - extent, 0));
    });
  }

  get canPan() {
    return this.grid.some((length, axis) => length * this.zoom > this.#size[axis] + 0.5);
  }

  #paint() {
    const [width, height] = this.#size;
    if (!width) return;
    if (this.canvas.width !== width || this.canvas.height !== height) Object.assign(this.canvas, { width, height });
    const context = this.canvas.getContext("2d"), split = this.divided ? Math.round((this.position / 100) * width) : width;
    context.clearRect(0, 0, width, height);
    this.#paintSide(context, this.left, 0, split);
    if (this.divided) this.#paintSide(context, this.right, split, width);
    this.element.style.setProperty("--lf-split", `${split / this.ratio}px`);
    this.element.classList.toggle("lf-pannable", this.canPan);
    this.handle.hidden = this.whole;
    this.handle.setAttribute("aria-valuenow", Math.round(this.position));
    this.handle.setAttribute("aria-valuetext", `${Math.round(this.position)} %`);
    this.painted = true;
  }

  #paintSide(context, picture, from, to) {
    if (!picture?.canvas || to <= from) return;
    const zoom = this.zoom, place = placeOf([picture.width, picture.height], this.grid);
    const [x0, y0] = this.#origin(zoom).map((begin, axis) => begin + zoom * [place.x, place.y][axis]);
    const shown = this.smooth ? picture.onGrid(place.width, place.height).canvas : picture.canvas;
    const zx = (place.width * zoom) / shown.width, zy = (place.height * zoom) / shown.height;
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

  /** Screen pixel of an event, within the pane. */
  #at(event) {
    const box = this.element.getBoundingClientRect();
    return [(event.clientX - box.left) * this.ratio, (event.clientY - box.top) * this.ratio];
  }

  /** Picture pixel under a screen pixel, or null outside. */
  pixelAt(x, y) {
    const zoom = this.zoom, [x0, y0] = this.#origin(zoom);
    const column = Math.floor((x - x0) / zoom), row = Math.floor((y - y0) / zoom);
    return column >= 0 && row >= 0 && column < this.grid[0] && row < this.grid[1] ? [column, row] : null;
  }

  /** One step in (1) or out (-1), keeping what lies under a screen pixel; false where there is no further step. */
  zoomBy(step, at) {
    const fitted = this.fitted, now = this.zoom;
    const stops = [...new Set([fitted, ...ZOOMS.filter((zoom) => zoom > fitted)])].sort((a, b) => a - b);
    const next = step > 0 ? stops.find((zoom) => zoom > now + 1e-6) : stops.findLast((zoom) => zoom < now - 1e-6);
    return next !== undefined && this.zoomTo(next, at);
  }

  /** To so many screen pixels per picture pixel. */
  zoomTo(next, at = this.#size.map((length) => length / 2)) {
    const fitted = this.fitted, now = this.zoom;
    if (Math.abs(next - now) < 1e-6) return false;
    const origin = this.#origin(now), held = at.map((place, axis) => (place - origin[axis]) / now);
    const middle = held.map((place, axis) => (this.#size[axis] / 2 - at[axis] + place * next) / (this.grid[axis] * next));
    this.#look(Math.abs(next - fitted) < 1e-6 ? 0 : next, middle);
    return true;
  }

  #look(zoom, [x, y]) {
    const shown = zoom || this.fitted;
    const within = (middle, axis) => {
      const half = this.#size[axis] / (2 * this.grid[axis] * shown);
      return half >= 0.5 ? 0.5 : clamp(middle, half, 1 - half);
    };
    Object.assign(this.view, { zoom, x: within(x, 0), y: within(y, 1) });
    this.view.draw();
    this.onmove?.();
  }

  pan(dx, dy) {
    const zoom = this.zoom;
    this.#look(this.view.zoom, [this.view.x - dx / (this.grid[0] * zoom), this.view.y - dy / (this.grid[1] * zoom)]);
  }

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

  #listen(signal) {
    watchScrolling();
    const on = (type, listener, options = {}) => this.element.addEventListener(type, listener, { signal, ...options });
    on("pointerdown", (event) => this.#press(event));
    on("pointermove", (event) => this.#move(event));
    for (const type of ["pointerup", "pointercancel"]) on(type, (event) => this.#release(event));
    on("pointerleave", () => this.onmove?.(null));
    on("dblclick", () => this.reset());
    on("wheel", (event) => this.#turn(event), { passive: false });
    on("keydown", (event) => this.#key(event));
    const observer = new ResizeObserver(() => this.resize());
    observer.observe(this.within);
    signal.addEventListener("abort", () => observer.disconnect());
    window.addEventListener("resize", () => this.resize(), { signal }); // a window moved to another display, too
  }

  #press(event) {
    if (event.button !== 0) return;
    this.element.setPointerCapture(event.pointerId);
    (this.divided ? this.handle : this.element).focus({ preventScroll: true });
    const [x, y] = this.#at(event);
    this.#pointers.set(event.pointerId, [x, y]);
    if (this.#pointers.size === 2) {
      this.#drag = "pinch";
      this.#wheel = 0;
      return;
    }
    const split = (this.position / 100) * this.#size[0], near = this.divided && Math.abs(x - split) <= 14 * this.ratio;
    this.#drag = this.divided && (near || !this.canPan) ? "curtain" : "pan";
    this.#grab = near ? split - x : 0;
    if (this.#drag === "curtain" && !near) this.moveTo((100 * x) / this.#size[0]);
    this.element.classList.add(`lf-drag-${this.#drag}`);
  }

  #move(event) {
    const [x, y] = this.#at(event), before = this.#pointers.get(event.pointerId);
    if (!before) {
      this.onmove?.(this.pixelAt(x, y));
      return;
    }
    if (this.#drag === "pinch") this.#pinch(event.pointerId, [x, y]);
    else if (this.#drag === "curtain") this.moveTo((100 * (x + this.#grab)) / this.#size[0]);
    else this.pan(x - before[0], y - before[1]);
    this.#pointers.set(event.pointerId, [x, y]);
    this.onmove?.(this.pixelAt(x, y));
  }

  #pinch(id, [x, y]) {
    const other = [...this.#pointers].find(([key]) => key !== id)?.[1], before = this.#pointers.get(id);
    if (!other) return;
    const spread = (place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
    this.#wheel += Math.log2(spread([x, y]) / spread(before));
    const middle = [(x + other[0]) / 2, (y + other[1]) / 2];
    this.pan((x - before[0]) / 2, (y - before[1]) / 2);
    while (Math.abs(this.#wheel) > 0.35) {
      const step = Math.sign(this.#wheel);
      this.#wheel -= 0.35 * step;
      if (!this.zoomBy(step, middle)) break;
    }
  }

  #release(event) {
    this.#pointers.delete(event.pointerId);
    this.element.classList.remove("lf-drag-curtain", "lf-drag-pan");
    if (!this.#pointers.size) this.#drag = null;
  }

  #turn(event) {
    if (!event.ctrlKey && event.timeStamp - scrolledElsewhere < 250) {
      scrolledElsewhere = event.timeStamp;
      return;
    }
    const delta = -event.deltaY * (event.deltaMode === 1 ? 33 : 1) * (event.ctrlKey ? 6 : 1);
    if (delta < 0 && this.zoom <= this.fitted && !event.ctrlKey) return; // nothing to zoom out of: the page scrolls on
    event.preventDefault();
    this.#wheel = Math.sign(delta) === Math.sign(this.#wheel) ? this.#wheel + delta : delta;
    if (Math.abs(this.#wheel) < 50) return;
    this.zoomBy(Math.sign(this.#wheel), this.#at(event));
    this.#wheel = 0;
  }

  #key(event) {
    if (event.metaKey || event.ctrlKey) return;
    const far = event.shiftKey ? 10 : 1, pan = 40 * this.ratio * far;
    const pans = { ArrowLeft: [pan, 0], ArrowRight: [-pan, 0], ArrowUp: [0, pan], ArrowDown: [0, -pan] };
    const moves = { ArrowLeft: -far, ArrowDown: -far, ArrowRight: far, ArrowUp: far, PageDown: -10, PageUp: 10 };
    const key = event.key;
    if (key === "+" || key === "=") this.zoomBy(1);
    else if (key === "-" || key === "_") this.zoomBy(-1);
    else if (key === "0") this.showAll();
    else if (key in pans && (event.altKey || !this.divided)) this.pan(...pans[key]);
    else if (this.divided && key in moves) this.moveTo(Math.round(this.position) + moves[key]);
    else if (this.divided && key === "Home") this.moveTo(0);
    else if (this.divided && key === "End") this.moveTo(100);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** All of the picture, the curtain where it is. */
  showAll() {
    this.view.reset();
    this.onmove?.();
  }
}

/** Zoom buttons, smooth or pixels, and the values under the pointer. */
class Bar {
  constructor(pane, { panes = [pane], onsmooth } = {}) {
    this.pane = pane;
    this.panes = panes;
    this.percent = button("Fit", "Fit the picture into the pane (0)", () => pane.showAll(), { class: "lf-button lf-zoom" });
    this.smooth = button("Smooth", "Enlarge the smaller picture smoothly, or show its pixels", () => {
      const smooth = !pane.smooth;
      for (const each of panes) each.smooth = smooth;
      onsmooth?.(smooth);
      pane.view.draw();
      this.refresh();
    });
    this.readout = make("span", { class: "lf-readout" });
    this.element = make("div", { class: "lf-bar" },
      make("span", { class: "lf-group" },
        button("−", "Zoom out (−)", () => pane.zoomBy(-1)), this.percent, button("+", "Zoom in (+)", () => pane.zoomBy(1))),
      button("1:1", "A screen pixel for each picture pixel", () => pane.zoomTo(1)),
      this.smooth, this.readout);
    this.last = null;
    for (const each of panes) each.onmove = (at) => this.#moved(at);
  }

  #moved(at) {
    if (at !== undefined) this.last = at;
    this.refresh();
  }

  refresh() {
    const { pane } = this, zoom = pane.zoom;
    this.percent.textContent = pane.view.zoom ? `${+(100 * zoom).toPrecision(3)} %` : "Fit";
    this.smooth.setAttribute("aria-pressed", pane.smooth);
    const pictures = this.panes.flatMap((each) => (each.divided ? [each.left, each.right] : [each.left]));
    const sizes = new Set(pictures.filter((picture) => picture?.canvas).map((picture) => `${picture.width} × ${picture.height}`));
    this.smooth.hidden = !pictures.some((picture) => {
      const place = picture?.canvas && placeOf([picture.width, picture.height], pane.grid);
      return place && (picture.width !== place.width || picture.height !== place.height);
    });
    if (!this.last) {
      this.readout.replaceChildren([...sizes].join(" and ") + (sizes.size ? " px" : ""));
      return;
    }
    const [column, row] = this.last, parts = [make("span", {}, `x ${column}  y ${row}`)];
    for (const picture of pictures.slice(0, 4)) if (picture?.canvas) parts.push(this.#value(picture, column, row));
    this.readout.replaceChildren(...parts);
  }

  #value(picture, column, row) {
    const place = placeOf([picture.width, picture.height], this.pane.grid), { width, height } = place;
    const source = this.pane.smooth ? picture.onGrid(width, height) : picture;
    const x = Math.floor(((column - place.x + 0.5) * source.width) / width), y = Math.floor(((row - place.y + 0.5) * source.height) / height);
    if (x < 0 || y < 0 || x >= source.width || y >= source.height) return make("span", { class: "lf-value" }, "–");
    const rgb = [...source.rgba.data.slice(4 * (y * source.width + x), 4 * (y * source.width + x) + 3)];
    return make("span", { class: "lf-value" }, make("i", { class: "lf-swatch", style: `background:rgb(${rgb.join(" ")})` }), rgb.join(" "));
  }
}

/** What every widget begins with: a clean element with our class and theme, and a signal that ends its listeners. */
function start(el, data, kind) {
  el.latentfit?.destroy();
  el.replaceChildren();
  el.classList.add("lf", `lf-${kind}`);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys, such as 0 0, are not for a focused curtain
  if (data.theme) el.dataset.theme = data.theme;
  else delete el.dataset.theme;
  const ender = new AbortController();
  const ours = (event) => !event.ctrlKey && !event.metaKey && event.stopPropagation();
  el.addEventListener("keydown", ours, { signal: ender.signal }); // a notebook would scroll on arrows, and not move a slider
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
  return { signal: ender.signal, end, say };
}

function finish(el, handle) {
  el.latentfit = { el, ...handle };
  return el.latentfit;
}

/** "Code": a button and the panel it opens; `ask` gives the text, now or later. */
function codePanel(ask) {
  const text = make("pre", { class: "lf-code", tabindex: 0 });
  const copy = button("Copy", "Copy the code", async () => {
    try {
      await navigator.clipboard.writeText(text.textContent);
      copy.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(text); // no clipboard on a page from disk: select, so that Ctrl+C takes it
      copy.textContent = "Selected";
    }
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  });
  const panel = make("div", { class: "lf-codepanel", hidden: true }, text, copy);
  const toggle = button("Code", "Python that makes this view again", () => {
    panel.hidden = !panel.hidden;
    toggle.setAttribute("aria-expanded", !panel.hidden);
    refresh();
  }, { "aria-expanded": false });
  const refresh = async () => {
    if (!panel.hidden) text.textContent = await ask();
  };
  return { toggle, panel, refresh, put: (words) => (text.textContent = words) };
}

/** How a widget asks its code: of the kernel where there is one, else of its data. */
function codeOf(data, values = () => ({})) {
  if (!data.code && !data.live) return null;
  return codePanel(() => {
    if (data.live) return data.live.question("code", values());
    const known = values();
    return data.code.replace(/\{(\w+)\}/g, (all, name) => (name in known ? JSON.stringify(known[name]) : all));
  });
}

// ------------------------------------------------------------------------------------------------ curtain

export function curtain(el, data) {
  const { signal, end, say } = start(el, data, "curtain");
  const host = make("div", { class: "lf-host" }), stage = make("div", { class: "lf-stage" }, host);
  el.append(stage);
  const look = () => {
    data.live?.newest("look", { position: pane.position, smooth: pane.smooth });
    code?.refresh();
  };
  const pane = new Pane(host, { ...data, signal, stage, within: el, onposition: look });
  const bar = new Bar(pane, { onsmooth: look });
  const code = codeOf(data, () => ({ position: pane.position }));
  stage.append(bar.element);
  if (code) {
    bar.element.append(code.toggle);
    stage.append(code.panel);
  }
  const pictures = { left: null, right: null };
  const load = async (part) => {
    for (const side of ["left", "right"]) if (part[side]) pictures[side] = new Picture(part[side]);
    await Promise.all([pictures.left?.ready, pictures.right?.ready]);
    if (signal.aborted) return;
    pane.show(pictures.left, pictures.right);
    bar.refresh();
  };
  const update = (part) => {
    if ("position" in part) pane.moveTo(part.position);
    if ("smooth" in part) pane.smooth = part.smooth;
    return part.left || part.right ? load(part) : pane.draw();
  };
  const state = () => ({
    position: pane.position, smooth: pane.smooth, zoom: pane.zoom, fitted: !pane.view.zoom, x: pane.view.x, y: pane.view.y, grid: pane.grid,
  });
  return finish(el, { ready: load(data).then(painted), update, state, destroy: end, say, pane });
}

const painted = () => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));

// ------------------------------------------------------------------------------------------------ step scrubber

export function stepScrubber(el, data) {
  const { signal, end, say } = start(el, data, "scrubber");
  const steps = data.steps, names = data.names, known = new Map(), view = new View();
  const grid = make("div", { class: "lf-panes", style: `--lf-n:${Math.min(names.length, 4)}` });
  const panes = names.map(() => {
    const host = make("div", { class: "lf-host" });
    grid.append(host);
    return new Pane(host, { view, height: data.height ?? 360, smooth: data.smooth ?? true, divided: false, signal });
  });
  const bar = new Bar(panes[0], { panes, onsmooth: () => tell() });
  const slider = make("input", { type: "range", min: 0, max: Math.max(0, steps.length - 1), step: 1, class: "lf-range", "aria-label": "Step" });
  const words = make("output", { class: "lf-words" });
  const chart = sigmaChart(steps);
  let wanted = clamp(data.position ?? steps.length - 1, 0, steps.length - 1), shown = -1, timer = 0;
  const play = button("▶", "Play", () => (timer ? stop() : begin()), { class: "lf-button lf-play" });
  const code = codeOf(data, () => ({ position: wanted }));
  el.append(grid, make("div", { class: "lf-steps" }, play, make("div", { class: "lf-track" }, chart.element, slider), words), bar.element);
  if (code) {
    bar.element.append(code.toggle);
    el.append(code.panel);
  }
  steps.forEach((step, at) => step.pictures && remember(at, step.pictures));

  function remember(at, pictures) {
    known.set(at, Object.fromEntries(Object.entries(pictures).map(([name, spec]) => [name, new Picture(spec)])));
  }

  async function show(at) {
    const pictures = known.get(at);
    await Promise.all(names.map((name) => pictures[name]?.ready));
    if (signal.aborted || (at !== wanted && !timer)) return;
    const sizes = [...known.values()].flatMap((all) => Object.values(all)).filter((picture) => picture.canvas);
    const largest = sizes.reduce((most, p) => (p.width * p.height > most[0] * most[1] ? [p.width, p.height] : most), [0, 0]);
    panes.forEach((pane, index) => {
      const picture = pictures[names[index]] ?? new Picture({ reason: "not in this step" });
      picture.label ||= names[index];
      picture.note ||= scoreWords(picture.scores).join("  ");
      if (largest[0]) pane.wantedGrid = largest;
      pane.show(picture);
    });
    shown = at;
    bar.refresh();
  }

  function go(at) {
    wanted = clamp(Math.round(at), 0, steps.length - 1);
    slider.value = wanted;
    const step = steps[wanted] ?? {};
    const parts = [`step ${step.index ?? wanted} · ${wanted + 1} of ${steps.length}`];
    if (isNumber(step.timestep)) parts.push(`t ${+step.timestep.toFixed(1)}`);
    if (isNumber(step.sigma)) parts.push(`σ ${step.sigma.toPrecision(3)}`);
    if (isNumber(step.ms)) parts.push(`preview ${msWords(step.ms)}`);
    words.textContent = parts.join("   ");
    slider.setAttribute("aria-valuetext", words.textContent);
    chart.mark(wanted);
    tell();
    return known.has(wanted) ? show(wanted) : Promise.resolve();
  }

  function tell() {
    data.live?.newest("step", { position: wanted, known: known.has(wanted), smooth: panes[0].smooth });
    code?.refresh();
  }

  function begin() {
    if (wanted >= steps.length - 1) go(0);
    play.textContent = "❚❚";
    play.setAttribute("aria-label", "Pause");
    timer = setInterval(() => {
      if (shown !== wanted) return; // the next step waits until this one is there
      if (wanted >= steps.length - 1) stop();
      else go(wanted + 1);
    }, 1000 / (data.fps ?? 8));
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶";
    play.setAttribute("aria-label", "Play");
  }

  slider.addEventListener("input", () => {
    stop();
    go(+slider.value);
  });
  signal.addEventListener("abort", stop);
  const update = (part) => {
    if (part.pictures) {
      remember(part.at, part.pictures);
      if (part.at === wanted) return show(part.at);
    }
    if ("position" in part) return go(part.position);
    return undefined;
  };
  const state = () => ({ position: wanted, shown, playing: Boolean(timer), known: [...known.keys()], zoom: panes[0]?.zoom });
  if (!steps.length) words.textContent = "no steps were recorded";
  return finish(el, { ready: Promise.resolve(steps.length ? go(wanted) : null).then(painted), update, state, destroy: end, say, panes });
}

/** Noise over the steps as a small line with a mark; empty where no step knows its sigma. */
function sigmaChart(steps) {
  const svg = (tag, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  };
  const element = svg("svg", { class: "lf-sigmas", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" });
  const sigmas = steps.map((step) => step.sigma), most = Math.max(...sigmas.filter(isNumber), 0);
  const x = (at) => (steps.length > 1 ? (100 * at) / (steps.length - 1) : 50), y = (sigma) => 22 - 20 * Math.sqrt(sigma / most);
  if (!most) return { element, mark() {} };
  const points = sigmas.flatMap((sigma, at) => (isNumber(sigma) ? [`${x(at)},${y(sigma)}`] : []));
  const line = svg("polyline", { points: points.join(" ") }), mark = svg("line", { y1: 0, y2: 24 });
  element.append(mark, line);
  return {
    element,
    mark(at) {
      mark.setAttribute("x1", x(at));
      mark.setAttribute("x2", x(at));
    },
  };
}

// ------------------------------------------------------------------------------------------------ workbench

const MODES = [["picture", "Picture"], ["brightness", "Brightness"], ["delta_e", "ΔE"], ["difference", `Difference ×${AMPLIFIED}`]];
const MOST_DROPPED = 64 << 20;
const WIDE_PX = 700, CONTROLS_PX = 284; // as in widgets.css: from here on the controls stand beside the picture

export function workbench(el, data) {
  const { signal, end, say } = start(el, data, "workbench");
  return new Workbench(el, data, signal, end, say).handle;
}

class Workbench {
  constructor(el, data, signal, end, say) {
    Object.assign(this, { el, data, signal, live: data.live ?? null, say, kept: new Map(), made: new Map() });
    this.pictures = data.pictures.map((picture) => ({ ...picture }));
    this.sides = [...data.sides];
    const others = this.sides.filter((name) => name !== data.reference);
    this.view = {
      picture: data.picture ?? 0, left: data.left ?? others[0] ?? this.sides[0],
      right: data.right ?? data.reference ?? others[1] ?? this.sides[0], mode: data.mode ?? "picture",
      sigma: data.sigma ?? 0, gain: data.gain ?? 1, exposure: data.exposure ?? 0,
    };
    this.#build();
    this.handle = finish(el, {
      ready: Promise.resolve(this.#changed()).then(painted), update: (part) => this.update(part), state: () => this.state(),
      destroy: end, say, pane: this.pane,
    });
  }

  state() {
    return { ...this.view, picture_name: this.pictures[this.view.picture]?.name, position: this.pane.position, zoom: this.pane.zoom,
      scores: this.shownScores ?? {}, waiting: Boolean(this.waiting) };
  }

  #build() {
    const { data } = this;
    this.list = make("div", { class: "lf-tiles", role: "listbox", "aria-label": "Pictures", "aria-orientation": "horizontal", onkeydown: (event) => this.#walk(event) });
    this.strip = make("div", { class: "lf-strip" }, this.list);
    const laidOut = new ResizeObserver(() => this.broughtIn || this.#bringIn(this.tiles[this.view.picture]));
    laidOut.observe(this.list);
    this.signal.addEventListener("abort", () => laidOut.disconnect());
    const host = make("div", { class: "lf-host" }), stage = make("div", { class: "lf-stage" }, host), bench = make("div", { class: "lf-bench" });
    const room = () => bench.clientWidth - (bench.clientWidth >= WIDE_PX ? CONTROLS_PX : 0);
    this.pane = new Pane(host, { ...data, signal: this.signal, stage, within: bench, room, onposition: () => this.#tell() });
    this.bar = new Bar(this.pane, { onsmooth: () => this.#tell() });
    this.legend = make("div", { class: "lf-legend", hidden: true });
    this.code = codeOf(data, () => this.#values());
    this.busy = make("span", { class: "lf-busy", hidden: true, title: "The kernel is at work" });
    this.note = make("p", { class: "lf-small" });
    const controls = make("div", { class: "lf-controls" },
      this.#chooser("left"),
      button("⇄", "Swap left and right", () => this.#set({ left: this.view.right, right: this.view.left }), { class: "lf-button lf-swap" }),
      this.#chooser("right"), this.#modes(), ...this.#sliders(), this.note,
      make("div", { class: "lf-row-buttons" }, this.code?.toggle, button("Reset", "σ, gain, exposure and zoom as at first", () => this.#reset()), this.busy));
    stage.append(this.legend, this.bar.element);
    bench.append(stage, controls);
    this.el.append(this.strip, bench);
    if (this.code) this.el.append(this.code.panel);
    if (this.live) this.#takeDrops();
    this.#fillStrip();
  }

  #chooser(side) {
    const select = make("select", { class: "lf-select", "aria-label": `${side} picture`, onchange: () => this.#set({ [side]: select.value }) });
    select.append(...this.sides.map((name) => make("option", { value: name }, name)));
    const scores = make("p", { class: "lf-scores" });
    this[`${side}Select`] = select;
    this[`${side}Scores`] = scores;
    return make("div", { class: `lf-choice lf-choice-${side}` }, make("span", { class: "lf-eyebrow" }, side === "left" ? "Left" : "Right"), select, scores);
  }

  /** Other names to choose from. */
  #offer(names) {
    this.sides = names;
    for (const select of [this.leftSelect, this.rightSelect]) select.replaceChildren(...names.map((name) => make("option", { value: name }, name)));
    this.#showControls();
  }

  #modes() {
    const buttons = MODES.filter(([mode]) => mode === "picture" || this.data.reference).map(([mode, text]) =>
      button(text, mode === "picture" ? "The pictures" : `${text}: the error against ${this.data.reference}`, () => this.#set({ mode }), { "data-mode": mode }));
    this.modeButtons = buttons;
    return make("div", { class: "lf-segments", role: "group", "aria-label": "View" }, ...buttons);
  }

  #sliders() {
    const views = this.data.pictures[0]?.views ?? [], stops = views.map((view) => view.sigma);
    const sliders = [];
    this.ranges = {};
    const add = (name, label, title, low, high, step, text) => {
      const output = make("output"), input = make("input", { type: "range", min: low, max: high, step, class: "lf-range", "aria-label": title });
      const put = (value) => {
        input.value = value;
        output.textContent = text(value);
        input.setAttribute("aria-valuetext", text(value));
      };
      input.addEventListener("input", () => this.#set({ [name]: +input.value }, true));
      input.addEventListener("dblclick", () => this.#set({ [name]: START[name] }));
      this.ranges[name] = put;
      sliders.push(make("label", { class: "lf-slider", title }, make("span", {}, label), input, output));
    };
    if (this.live) {
      const { sigma_most: most = 4 } = this.data;
      add("sigma", "σ", "Noise: the simulated x0 estimate that a preview sees mid-way", 0, most, most / 80, (v) => v.toFixed(2));
      add("gain", "gain", "Factor on the latents, as strong guidance has", 0.25, 2, 0.05, (v) => `× ${v.toFixed(2)}`);
    } else if (stops.length > 1) {
      add("stop", "σ", "Noise: the simulated x0 estimate that a preview sees mid-way", 0, stops.length - 1, 1, (at) => stops[at].toFixed(2));
    }
    add("exposure", "exposure", "Stops brighter, in linear light", -3, 3, 0.1, (v) => `${v > 0 ? "+" : ""}${v.toFixed(1)} EV`);
    return sliders;
  }

  #fillStrip() {
    const tiles = this.pictures.map((picture, at) => {
      const thumb = new Picture(picture.thumb), frame = make("span", { class: "lf-thumb" });
      thumb.ready.then(() => frame.replaceChildren(thumb.canvas ?? "?"));
      return make("button", { type: "button", class: "lf-tile", role: "option", title: picture.name, onclick: () => this.#set({ picture: at }) },
        frame, make("span", { class: "lf-tilename" }, picture.name.split("/").pop()));
    });
    this.tiles = tiles;
    this.list.replaceChildren(...tiles);
    if (this.live && this.data.drops !== false && !this.dropTile) this.strip.append(this.#dropTile());
    this.strip.hidden = tiles.length < 2 && !this.dropTile;
  }

  /** Arrow keys choose the picture beside, Home and End the first and the last. */
  #walk(event) {
    const last = this.tiles.length - 1, at = this.view.picture;
    const to = { ArrowLeft: Math.max(0, at - 1), ArrowRight: Math.min(last, at + 1), Home: 0, End: last }[event.key];
    if (to === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (to !== at) this.#set({ picture: to });
    this.tiles[to].focus({ preventScroll: true });
  }

  /** Scroll the strip, and nothing else, until a tile is seen. */
  #bringIn(tile) {
    const { list } = this;
    if (!tile || !list.clientWidth) return; // a notebook attaches a widget after it is made
    this.broughtIn = true;
    const from = tile.offsetLeft - list.offsetLeft, to = from + tile.offsetWidth;
    if (from < list.scrollLeft) list.scrollLeft = from - 9;
    else if (to > list.scrollLeft + list.clientWidth) list.scrollLeft = to + 9 - list.clientWidth;
  }

  // ---- what is shown

  /** Name -> Picture of the present view, as far as it is there. */
  #present() {
    const { picture, sigma, gain } = this.view;
    if (this.live) return this.now ?? {};
    const views = this.pictures[picture]?.views ?? [];
    const chosen = views.find((view) => view.sigma === sigma && view.gain === gain) ?? views[0] ?? { sides: {} };
    const names = [this.view.left, this.view.right, this.data.reference].filter(Boolean);
    return Object.fromEntries(names.map((name) => {
      const spec = chosen.sides[name] ?? { reason: `there is no picture of ${name}` };
      if (!this.kept.has(spec)) this.kept.set(spec, new Picture(spec));
      return [name, this.kept.get(spec)];
    }));
  }

  #set(part, sliding = false) {
    if ("stop" in part) {
      const { sigma, gain } = this.pictures[this.view.picture].views[part.stop];
      Object.assign(part, { sigma, gain });
      delete part.stop;
    }
    Object.assign(this.view, part);
    return this.#changed(sliding);
  }

  #reset() {
    this.pane.reset();
    return this.#set({ ...START });
  }

  async #changed() {
    const { view } = this;
    this.#showControls();
    if (this.live) this.#ask();
    else await this.#draw();
    this.#tell();
  }

  #showControls() {
    const { view } = this;
    this.leftSelect.value = view.left;
    this.rightSelect.value = view.right;
    for (const name of ["sigma", "gain", "exposure"]) this.ranges[name]?.(view[name]);
    if (this.ranges.stop) {
      const at = this.pictures[view.picture].views.findIndex((each) => each.sigma === view.sigma && each.gain === view.gain);
      this.ranges.stop(Math.max(0, at));
    }
    for (const each of this.modeButtons) each.setAttribute("aria-pressed", each.dataset.mode === view.mode);
    this.tiles.forEach((tile, at) => {
      tile.setAttribute("aria-selected", at === view.picture);
      tile.tabIndex = at === view.picture ? 0 : -1; // Tab goes to the chosen one, arrows from there
    });
    this.#bringIn(this.tiles[view.picture]);
  }

  async #draw() {
    const sides = this.#present(), { left, right, mode } = this.view, reference = sides[this.data.reference];
    await Promise.all(Object.values(sides).map((picture) => picture.ready));
    if (this.signal.aborted) return;
    const one = mode !== "picture" && left !== right ? [left, right].filter((name) => name !== this.data.reference) : [];
    const [first, second] = one.length === 1 ? [one[0], one[0]] : [left, right]; // the reference's own error is nothing to see
    this.pane.whole = first === second;
    this.pane.wantedGrid = reference?.canvas ? [reference.width, reference.height] : null; // as seen, whoever is compared
    this.pane.show(this.#made(first, sides[first], reference), this.#made(second, sides[second], reference));
    this.shownScores = { left: sides[left]?.scores ?? null, right: sides[right]?.scores ?? null };
    this.#writeScores("left", left, sides[left]);
    this.#writeScores("right", right, sides[right]);
    this.#writeLegend(mode);
    const size = reference?.canvas ? `, as seen at ${reference.width} × ${reference.height} px` : "";
    const about = this.data.reference ? `Scores against ${this.data.reference}, on the same latents${size}.` : "";
    const own = this.pictures[this.view.picture]?.note ?? "";
    this.note.replaceChildren(...[about, own, this.estimate ?? ""].filter(Boolean).map((text) => make("span", {}, text)));
    this.bar.refresh();
  }

  /** A side as the mode shows it; made once. */
  #made(name, picture, reference) {
    if (!picture) return new Picture({ reason: "not there yet", label: name });
    const { mode, exposure } = this.view, labelled = (made) => Object.assign(made, { label: name });
    if (!picture.canvas) return labelled(picture);
    const key = mode === "picture" ? `${exposure}` : mode;
    if (mode === "picture" && !exposure) return labelled(picture);
    const made = this.made.get(picture) ?? {};
    if (made.key !== key || (mode !== "picture" && made.reference !== reference)) {
      if (mode === "picture") made.picture = exposedPicture(picture, exposure);
      else if (reference?.canvas) made.picture = errorPicture(picture, reference, mode);
      else made.picture = new Picture({ reason: `${this.data.reference} gives no picture to compare with` });
      Object.assign(made, { key, reference });
      this.made.set(picture, made);
      if (this.made.size > 12) this.made.delete(this.made.keys().next().value);
    }
    return labelled(made.picture);
  }

  #writeScores(side, name, picture) {
    const target = this[`${side}Scores`], scores = picture?.scores;
    const cells = [["PSNR", isNumber(scores?.psnr) ? (scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB`) : "–"],
      ["ΔE", isNumber(scores?.delta_e) ? scores.delta_e.toFixed(1) : "–"], ["time", isNumber(scores?.ms) ? msWords(scores.ms) : "–"]];
    if (name === this.data.reference) cells[0][1] = cells[1][1] = "reference";
    const drawn = name === this.data.reference ? [["", "the reference"], cells[2]] : cells;
    target.replaceChildren(...drawn.map(([label, value]) => make("span", {}, label ? make("small", {}, label) : "", make("b", {}, value))));
  }

  #writeLegend(mode) {
    const scale = SCALES[mode];
    this.legend.hidden = mode === "picture";
    if (scale) {
      const [stops, low, high, title] = scale, gradient = stops.map((rgb) => `rgb(${rgb.join(" ")})`).join(",");
      this.legend.replaceChildren(make("span", {}, title), make("span", {}, low), make("i", { style: `background:linear-gradient(90deg,${gradient})` }), make("span", {}, high));
    } else this.legend.replaceChildren(make("span", {}, `difference × ${AMPLIFIED} about grey: grey where both are equal`));
  }

  // ---- with a kernel

  #values() {
    const { picture, ...rest } = this.view;
    return { ...rest, picture: this.pictures[picture]?.name, at: picture, position: +this.pane.position.toFixed(2), smooth: this.pane.smooth };
  }

  /** The kernel is told what the page shows, and asked for what the page lacks. */
  #ask() {
    const { picture, left, right, sigma, gain } = this.view, key = JSON.stringify([picture, left, right, sigma, gain]);
    if (key === this.asked) {
      if (this.now) this.#draw();
      return;
    }
    this.asked = key;
    this.waiting = true;
    clearTimeout(this.busyTimer);
    this.busyTimer = setTimeout(() => (this.busy.hidden = !this.waiting), 150);
    this.live.newest("view", { key, picture, left, right, sigma, gain, have: [...this.kept.keys()] });
  }

  #tell() {
    if (this.live) this.live.newest("look", this.#values());
    this.code?.refresh();
  }

  /** A message of the kernel: sides of a view, pictures that came, settings. */
  async update(part) {
    if (part.sides) await this.#answer(part);
    if (part.all_sides) this.#offer(part.all_sides);
    if (part.pictures) {
      this.pictures = part.pictures;
      this.#fillStrip();
      this.#showControls();
    }
    if (part.note !== undefined) this.#dropSays(part.note, part.failed);
    if (part.view) {
      this.pane.smooth = part.view.smooth ?? this.pane.smooth;
      await this.#set(part.view);
    }
    if ("position" in part) this.pane.moveTo(part.position);
  }

  async #answer({ sides, key, estimate }) {
    if (Object.values(sides).some((spec) => spec.kept && !this.kept.has(spec.key))) {
      this.asked = null; // what was here when the kernel was asked has made room since: ask without it
      this.#ask();
      return;
    }
    const now = {};
    for (const [name, spec] of Object.entries(sides)) {
      const picture = spec.kept ? this.kept.get(spec.key) : new Picture(spec);
      this.kept.delete(spec.key);
      if (!picture.reason) this.kept.set(spec.key, picture); // a decoder may be mended: a failure is asked for again
      picture.scores = spec.scores ?? picture.scores;
      now[name] = picture;
    }
    while (this.kept.size > 24) this.kept.delete(this.kept.keys().next().value);
    if (key === this.asked) {
      this.waiting = false;
      this.busy.hidden = true;
    }
    if (!(this.view.left in now) || !(this.view.right in now)) return; // an answer to what was asked before
    this.now = now;
    this.estimate = estimate;
    await this.#draw();
    this.code?.refresh();
  }

  #dropTile() {
    const file = make("input", { type: "file", accept: "image/*", hidden: true, onchange: () => {
      this.#send([...file.files]);
      file.value = ""; // the same file may be chosen again
    } });
    this.dropWords = make("span", { class: "lf-dropwords" }, "Drop a picture here, or choose one");
    const tile = make("button", { type: "button", class: "lf-drop", title: "A picture of yours: it is encoded by the VAE", onclick: () => file.click() },
      this.dropWords, file);
    file.addEventListener("click", (event) => event.stopPropagation());
    this.dropTile = tile;
    return tile;
  }

  #takeDrops() {
    const over = (event) => {
      if (![...(event.dataTransfer?.types ?? [])].includes("Files") || this.data.drops === false) return;
      event.preventDefault();
      event.stopPropagation();
      this.el.classList.toggle("lf-over", event.type !== "dragleave" && event.type !== "drop");
      if (event.type === "drop") this.#send([...event.dataTransfer.files]);
    };
    for (const type of ["dragenter", "dragover", "dragleave", "drop"]) this.el.addEventListener(type, over, { signal: this.signal });
  }

  #dropSays(text, failed = false) {
    if (!this.dropTile) return;
    this.dropWords.textContent = text || "Drop a picture here, or choose one";
    this.dropTile.title = text || "A picture of yours: it is encoded by the VAE";
    this.dropTile.classList.toggle("lf-failed", Boolean(failed));
  }

  async #send(files) {
    for (const file of files) {
      if (file.size > MOST_DROPPED) {
        this.#dropSays(`${file.name}: ${(file.size / 2 ** 20).toFixed(0)} MiB, at most ${MOST_DROPPED >> 20} MiB`, true);
        continue;
      }
      this.#dropSays(`${file.name} …`);
      this.live.file(file.name, await file.arrayBuffer());
    }
  }
}

const START = { sigma: 0, gain: 1, exposure: 0 };

// ------------------------------------------------------------------------------------------------ table editor

/** Sums of monomials over a picture: what a PolynomialMap computes, one coefficient's change at a time. */
export class MapPlane {
  #variables = new Map();

  constructor({ n_channels, kernels, factors }, latents, [high, wide]) {
    Object.assign(this, { n_channels, factors, latents, high, wide, side: Math.max(...kernels) });
    this.sums = [0, 1, 2].map(() => new Float64Array(high * wide));
  }

  /** A channel, or a neighbour's: shifted, its borders repeated. */
  variable(number) {
    if (this.#variables.has(number)) return this.#variables.get(number);
    const { side, high, wide } = this, channel = Math.floor(number / side ** 2), place = number % side ** 2;
    const down = Math.floor(place / side) - (side >> 1), along = (place % side) - (side >> 1);
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

  /** The values of a term, 0 being the constant, over the picture. */
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

  /** All terms anew, from coefficients in rows of three. */
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

  /** Hold one coefficient: a function that sets the sums as it changes by some amount. */
  hold(term, channel) {
    const sum = this.sums[channel], before = sum.slice(), values = this.monomial(term);
    return (change) => {
      for (let i = 0; i < sum.length; i++) sum[i] = before[i] + change * values[i];
    };
  }

  /** Signed sums -> RGBA, and root mean squared errors in 8-bit levels against cells, when they are given. */
  paint(rgba, cells = null) {
    const n = this.high * this.wide, errors = [0, 0, 0];
    for (let c = 0; c < 3; c++) {
      const sum = this.sums[c], from = c * n;
      let squared = 0;
      for (let i = 0, to = c; i < n; i++, to += 4) {
        const level = 127.5 * (sum[i] + 1);
        rgba[to] = level;
        if (cells) {
          const error = (level < 0 ? 0 : level > 255 ? 255 : level) - 255 * cells[from + i];
          squared += error * error;
        }
      }
      errors[c] = cells ? Math.sqrt(squared / n) : null;
    }
    return errors;
  }
}

export function tableEditor(el, data) {
  const { signal, end, say } = start(el, data, "editor");
  return new TableEditor(el, data, signal, end, say).handle;
}

const LETTERS = ["R", "G", "B"], MOST_ROWS = 60, EDIT_WIDE_PX = 780;

class TableEditor {
  constructor(el, data, signal, end, say) {
    Object.assign(this, { el, data, signal, live: data.live ?? null, rows: new Map(), at: data.picture ?? 0, times: [] });
    this.first = numbersOf(data.coefficients);
    this.values = data.edited ? numbersOf(data.edited) : this.first.slice();
    this.solution = data.solution ? numbersOf(data.solution) : null;
    this.n_terms = this.values.length / 3;
    this.draw = onFrame(() => this.#frame());
    this.#build();
    this.handle = finish(el, {
      ready: Promise.resolve(this.#open(this.at)).then(painted), update: (part) => this.update(part), state: () => this.state(),
      destroy: end, say, pane: this.pane, set: (term, channel, value) => this.set(term, channel, value),
      pixels: () => ({ width: this.picture.width, height: this.picture.height, data: this.picture.rgba.data }),
    });
  }

  state() {
    return { coefficients: [...this.values], picture: this.at, residual: this.errors, solution_residual: this.leastErrors,
      evaluate_ms: this.times.at(-1) ?? null, frames: this.frames ?? 0 };
  }

  #build() {
    const { data } = this, host = make("div", { class: "lf-host" }), stage = make("div", { class: "lf-stage" }), edit = make("div", { class: "lf-edit" }, stage);
    const room = () => (edit.clientWidth >= EDIT_WIDE_PX ? Math.round(0.38 * edit.clientWidth) : edit.clientWidth);
    this.pane = new Pane(host, { height: data.height ?? 420, smooth: data.smooth ?? false, signal: this.signal, stage, within: edit, room });
    this.bar = new Bar(this.pane);
    this.residuals = make("div", { class: "lf-residuals" });
    this.code = codeOf(data, () => ({}));
    const choose = make("select", { class: "lf-select", "aria-label": "Picture", onchange: () => this.#choose(choose.selectedIndex) });
    choose.append(...data.pictures.map((picture) => make("option", {}, picture.name)));
    choose.hidden = data.pictures.length < 2;
    this.choose = choose;
    const nudge = button("Nudge to least squares", `A quarter of the way to: ${data.solution_label ?? "least squares"}`, () => this.#nudge(0.25), { class: "lf-button lf-primary" });
    const arrive = button("All the way", data.solution_label ?? "Least squares", () => this.#nudge(1));
    nudge.disabled = arrive.disabled = !this.solution;
    const buttons = make("div", { class: "lf-row-buttons" }, nudge, arrive,
      button("Reset", "The coefficients as they were first", () => this.#replace(this.first.slice())),
      button("Export", "Download the table as JSON", () => this.#export()), this.code?.toggle);
    this.table = make("div", { class: "lf-table", role: "table", "aria-label": `Coefficients of ${data.name}` }, this.#head());
    for (const group of groupsOf(data)) this.table.append(this.#group(group));
    const words = make("p", { class: "lf-small" }, make("span", {}, `${data.name} · ${data.space} · ${this.n_terms} × 3 coefficients, signed range, model-domain latents`),
      this.solution ? make("span", {}, make("i", { class: "lf-marker" }), data.solution_label || "least squares") : null);
    stage.append(choose, host, this.bar.element, this.residuals);
    edit.append(make("div", { class: "lf-tablebox" }, this.table, words, buttons));
    this.el.append(edit);
    if (this.code) this.el.append(this.code.panel);
  }

  #head() {
    const cells = LETTERS.map((letter) => make("span", { role: "columnheader", class: `lf-c${letter}` }, letter));
    return make("div", { class: "lf-trow lf-thead", role: "row" }, make("span", { role: "columnheader" }, "term"), ...cells);
  }

  #group({ title, terms, open }) {
    const limit = niceLimit(terms.flatMap((term) => [0, 1, 2].flatMap((c) => [this.first[3 * term + c], this.solution?.[3 * term + c] ?? 0])));
    const body = make("div", { role: "rowgroup" });
    const box = make("details", { class: "lf-group2" }, make("summary", {}, title, make("small", {}, ` ${terms.length}`)), body);
    const fill = (shown) => {
      body.replaceChildren(...shown.map((term) => this.rows.get(term)?.element ?? this.#row(term, limit)));
      if (shown.length < terms.length)
        body.append(button(`Show all ${terms.length}`, "All terms of this group", () => fill(terms), { class: "lf-button lf-more" }));
      this.#refreshRows(shown);
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

  #row(term, limit) {
    const name = this.data.terms[term], decimals = clamp(Math.ceil(2 - Math.log10(limit)), 3, 6);
    const row = { limit, decimals, ranges: [], numbers: [], element: null };
    const cells = [0, 1, 2].map((c) => {
      const label = `${name}, ${LETTERS[c]}`;
      const range = make("input", { type: "range", min: -limit, max: limit, step: limit / 500, class: `lf-range lf-c${LETTERS[c]}`, "aria-label": label });
      const number = make("input", { type: "number", step: 10 ** (1 - decimals), class: "lf-number", "aria-label": `${label}, number` });
      range.addEventListener("input", () => this.set(term, c, +range.value, range));
      number.addEventListener("input", () => number.value !== "" && this.set(term, c, +number.value, number));
      for (const each of [range, number]) each.addEventListener("change", () => this.#settle(term, c));
      row.ranges.push(range);
      row.numbers.push(number);
      const cell = make("span", { class: "lf-cell", role: "cell" }, make("span", { class: "lf-rangebox" }, range), number);
      if (this.solution) cell.style.setProperty("--lf-mark", clamp(0.5 + this.solution[3 * term + c] / (2 * limit), 0, 1));
      return cell;
    });
    const fixed = term === 0 && !this.data.intercept;
    for (const input of [...row.ranges, ...row.numbers]) input.disabled = fixed;
    row.element = make("div", { class: "lf-trow", role: "row" }, make("span", { role: "rowheader", class: "lf-term", title: name }, ...termWords(name)), ...cells);
    this.rows.set(term, row);
    return row.element;
  }

  #refreshRows(terms, except = null) {
    for (const term of terms) {
      const row = this.rows.get(term);
      if (!row) continue;
      for (let c = 0; c < 3; c++) {
        const value = this.values[3 * term + c];
        if (row.ranges[c] !== except) row.ranges[c].value = value;
        if (row.numbers[c] !== except) row.numbers[c].value = value.toFixed(row.decimals).replace(/^-(?=[0.]+$)/, "");
      }
    }
  }

  // ---- changes

  /** One coefficient is moved; the picture follows at the next frame. */
  set(term, channel, value, source = null) {
    if (!Number.isFinite(value)) return;
    if (this.held?.term !== term || this.held.channel !== channel) {
      this.#apply();
      this.held = { term, channel, from: this.values[3 * term + channel], move: this.plane.hold(term, channel) };
    }
    this.values[3 * term + channel] = value;
    this.moved = true;
    this.#refreshRows([term], source);
    this.draw();
  }

  #settle() {
    this.#tell();
    this.code?.refresh();
  }

  #replace(values) {
    this.values = values;
    this.held = null;
    this.moved = false;
    this.plane?.evaluate(values);
    this.#refreshRows(this.rows.keys());
    this.draw();
    this.#settle();
  }

  #nudge(share) {
    this.#replace(this.values.map((value, at) => (share === 1 ? this.solution[at] : value + share * (this.solution[at] - value))));
  }

  #apply() {
    if (this.held && this.moved) this.held.move(this.values[3 * this.held.term + this.held.channel] - this.held.from);
    this.moved = false;
  }

  #frame() {
    if (!this.plane) return;
    const started = performance.now();
    this.#apply();
    const rgba = this.image;
    this.errors = this.plane.paint(rgba.data, this.cells);
    this.picture.putImage(rgba);
    this.pane.draw();
    this.times.push(performance.now() - started);
    if (this.times.length > 240) this.times.shift();
    this.frames = (this.frames ?? 0) + 1;
    this.#writeResiduals();
    if (this.bar.last || this.frames === 1) this.bar.refresh();
    if (!this.told) this.#tell(true);
  }

  /** Another picture is chosen here: the kernel is told, too. */
  #choose(at) {
    this.#open(at);
    this.#settle();
  }

  /** Picture `at`, its latents and its true cells. */
  #open(at) {
    this.at = clamp(at, 0, Math.max(0, this.data.pictures.length - 1));
    this.choose.selectedIndex = this.at;
    const given = this.data.pictures[this.at];
    if (!given) return;
    if (!given.latents) {
      this.live?.newest("picture", { picture: this.at });
      return;
    }
    const [, high, wide] = given.latents.shape, n = high * wide;
    this.plane = new MapPlane(this.data, numbersOf(given.latents), [high, wide]);
    this.cells = given.cells ? numbersOf(given.cells) : null;
    if (given.cells?.dtype === "uint8") this.cells = this.cells.map((level) => level / 255);
    this.image = new ImageData(wide, high);
    this.image.data.fill(255);
    this.leastErrors = null;
    if (this.solution && this.cells) {
      this.plane.evaluate(this.solution);
      this.leastErrors = this.plane.paint(this.image.data, this.cells);
    }
    this.held = null;
    this.moved = false;
    this.plane.evaluate(this.values);
    this.plane.paint(this.image.data);
    this.picture = new Picture({ pixels: this.image.data, width: wide, height: high, label: this.data.name });
    const truth = this.cells
      ? new Picture({ pixels: Uint8ClampedArray.from({ length: 3 * n }, (_, i) => 255 * this.cells[(i % 3) * n + Math.floor(i / 3)]), width: wide, height: high, label: this.data.truth ?? "the VAE's cells" })
      : new Picture({ reason: "no true cells were given", label: "the VAE's cells" });
    this.pane.show(this.picture, truth);
    this.#frame();
  }

  #writeResiduals() {
    if (!this.cells) {
      this.residuals.replaceChildren(make("p", { class: "lf-small" }, `evaluated in the page: ${msWords(this.times.at(-1))}`));
      return;
    }
    if (!this.bars) {
      this.bars = LETTERS.map((letter) => ({ fill: make("i", { class: `lf-c${letter}` }), mark: make("u"), value: make("b") }));
      this.psnr = make("p", { class: "lf-small" });
      this.residuals.replaceChildren(make("span", { class: "lf-eyebrow" }, "Residual: RMSE in 8-bit levels"),
        ...this.bars.map(({ fill, mark, value }, c) => make("div", { class: "lf-residual" }, make("span", {}, LETTERS[c]), make("span", { class: "lf-meter" }, fill, mark), value)), this.psnr);
    }
    this.scale = Math.max(this.scale ?? 0, 16, 1.6 * Math.max(...(this.leastErrors ?? [0])));
    this.bars.forEach(({ fill, mark, value }, c) => {
      fill.style.width = `${clamp((100 * this.errors[c]) / this.scale, 0, 100)}%`;
      mark.hidden = !this.leastErrors;
      if (this.leastErrors) mark.style.left = `${clamp((100 * this.leastErrors[c]) / this.scale, 0, 100)}%`;
      value.textContent = this.errors[c].toFixed(1);
    });
    const psnr = (errors) => -20 * Math.log10(Math.max(1e-6, Math.hypot(...errors) / Math.sqrt(3) / 255));
    const least = this.leastErrors ? ` · least squares ${psnr(this.leastErrors).toFixed(1)} dB` : "";
    this.psnr.textContent = `${psnr(this.errors).toFixed(1)} dB${least} · evaluated in the page in ${msWords(this.times.at(-1))}`;
  }

  #tell() {
    this.told = true;
    this.live?.newest("coefficients", { picture: this.at }, [Float64Array.from(this.values).buffer]);
  }

  update(part) {
    if (part.opened) {
      this.data.pictures[part.opened.at] = { ...this.data.pictures[part.opened.at], ...part.opened.picture };
      if (part.opened.at === this.choose.selectedIndex) this.#open(part.opened.at);
    }
    if (part.coefficients) this.#replace(numbersOf(part.coefficients));
    if ("picture" in part) this.#open(part.picture);
  }

  #export() {
    const { data } = this, edited = this.values.some((value, at) => value !== this.first[at]);
    const rows = Array.from({ length: this.n_terms }, (_, term) => [0, 1, 2].map((c) => +Math.fround(this.values[3 * term + c]).toPrecision(9)));
    const document_ = structuredClone(data.document ?? { name: data.name, space: data.space, kernels: data.kernels, terms: data.terms });
    if (edited && document_.card) {
      for (const name of EVIDENCE) delete document_.card[name];
      document_.card.edited_from = data.name;
    }
    if (edited) document_.name = `${data.name}, edited`;
    document_.coefficients = rows;
    const link = make("a", { href: URL.createObjectURL(new Blob([`${JSON.stringify(document_)}\n`], { type: "application/json" })), download: `${document_.name.replace(/[^\w.-]+/g, "_")}.json` });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }
}

// what a card says of fitted numbers, and not of edited ones; as in latentfit.compare.widgets.table_editor_data
const EVIDENCE = ["ridge", "censored", "rank", "condition", "residual", "r2", "plain_residual", "scores", "scored_on"];

/** Terms in groups that fold: constant and channels, neighbours, then one for each degree. */
function groupsOf({ terms, factors }) {
  const degree = (term) => (term ? factors[term - 1].filter((number) => number >= 0).length : 0), all = terms.map((_, term) => term);
  const near = all.filter((term) => degree(term) < 2 && !terms[term].includes("["));
  const around = all.filter((term) => degree(term) === 1 && terms[term].includes("["));
  const groups = [{ title: "constant and channels", terms: near, open: true }];
  if (around.length) groups.push({ title: "neighbours", terms: around });
  for (let d = 2; d <= Math.max(...all.map(degree)); d++) groups.push({ title: `degree ${d}`, terms: all.filter((term) => degree(term) === d) });
  let total = near.length;
  for (const group of groups.slice(1)) {
    total += group.terms.length;
    group.open = total <= 18;
  }
  return groups;
}

/** A round number that leaves room beyond the largest. */
function niceLimit(values) {
  const wanted = 1.4 * Math.max(...values.map(Math.abs), 0.02), power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 1.5, 2, 3, 5, 7.5, 10].find((step) => step * power >= wanted) * power;
}

/** "x0*x1[-1,+1]" as x₀ x₁ with the place above. */
function termWords(name) {
  if (name === "1") return ["constant"];
  return name.split("*").flatMap((factor) => {
    const [, number, place] = /^x(\d+)(\[.*\])?$/.exec(factor) ?? [];
    if (number === undefined) return [factor];
    return ["x", make("sub", {}, number), ...(place ? [make("sup", {}, place.slice(1, -1))] : []), " "];
  });
}

// ------------------------------------------------------------------------------------------------ any kind

export function mount(el, kind, data) {
  const build = { curtain, table_editor: tableEditor, step_scrubber: stepScrubber, workbench }[kind];
  if (!build) throw new Error(`latentfit: no widget of kind ${JSON.stringify(kind)}`);
  return build(el, data);
}

// ------------------------------------------------------------------------------------------------ with a kernel

const PATIENCE_MS = 5000, CHUNK_BYTES = 2 << 20; // a server refuses messages of more than 10 MiB

/** The line to the kernel: questions with numbers, of each kind only the newest, and a word when nothing comes back. */
class Line {
  #number = 0;
  #open = new Map();
  #next = new Map();
  #answers = new Map();
  #heard = performance.now();

  constructor(model, say, signal) {
    Object.assign(this, { model, say });
    const timer = setInterval(() => this.#listen(), 1000);
    signal.addEventListener("abort", () => clearInterval(timer));
    model.on("comm_live_status_update", () => this.#again());
  }

  #post(type, payload, buffers = []) {
    const seq = ++this.#number;
    try {
      this.model.send({ type, seq, ...payload }, undefined, buffers);
    } catch {
      this.#lost();
    }
    if (!this.#open.size) this.#heard = Math.max(this.#heard, performance.now());
    this.#open.set(seq, type);
    return seq;
  }

  /** Ask; while one of this kind is on its way, only the newest waits. */
  newest(type, payload, buffers = []) {
    if ([...this.#open.values()].includes(type)) this.#next.set(type, [payload, buffers]);
    else this.#post(type, payload, buffers);
  }

  /** Ask, and promise the answer; what still waits is said before, so that the answer knows it. */
  question(type, payload) {
    const waiting = [...this.#next];
    this.#next.clear();
    for (const [each, [told, buffers]] of waiting) this.#post(each, told, buffers);
    const seq = this.#post(type, payload);
    return new Promise((resolve) => this.#answers.set(seq, resolve));
  }

  file(name, buffer) {
    const n_parts = Math.max(1, Math.ceil(buffer.byteLength / CHUNK_BYTES)), id = `${Date.now()}-${this.#number}`;
    for (let part = 0; part < n_parts; part++)
      this.#post("file", { name, id, part, n_parts }, [buffer.slice(part * CHUNK_BYTES, (part + 1) * CHUNK_BYTES)]);
  }

  /** A message came: what was asked is heard. */
  hear(message) {
    this.#heard = performance.now();
    this.say("");
    if (message.type === "heard") {
      const type = this.#open.get(message.seq);
      this.#open.delete(message.seq);
      const next = this.#next.get(type);
      if (next && ![...this.#open.values()].includes(type)) {
        this.#next.delete(type);
        this.#post(type, ...next);
      }
    }
    if (message.type === "answer") {
      this.#answers.get(message.to)?.(message.text);
      this.#answers.delete(message.to);
    }
  }

  /** The line went or came back: what was on its way may be lost, so ask once more whether anyone is there. */
  #again() {
    this.#open.clear();
    for (const [type, [payload, buffers]] of this.#next) this.#post(type, payload, buffers);
    this.#next.clear();
    this.#post("ping", {});
  }

  #listen() {
    if (this.#open.size && performance.now() - this.#heard > PATIENCE_MS) this.#lost();
  }

  #lost() {
    this.say("The kernel does not answer: it is busy with another cell, or it has died. What is on the page stays; for more, "
      + "wait, or restart the kernel and run the cell again.");
  }
}

/** Binary parts of a message go back where they were: ["$", n] stands for the n-th. */
function withBuffers(value, buffers) {
  if (Array.isArray(value)) return value.length === 2 && value[0] === "$" ? buffers[value[1]] : value.map((each) => withBuffers(each, buffers));
  if (value && typeof value === "object") return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, withBuffers(each, buffers)]));
  return value;
}

function render({ model, el }) {
  const ender = new AbortController();
  let handle = null;
  const line = new Line(model, (text) => handle?.say(text), ender.signal);
  handle = mount(el, model.get("kind"), { ...model.get("page"), ...model.get("now"), live: line });
  const hear = (message, buffers) => {
    line.hear(message);
    if (message.type === "update") handle.update(withBuffers(message.part, buffers ?? []));
  };
  model.on("msg:custom", hear);
  return () => {
    model.off("msg:custom", hear);
    ender.abort();
    handle.destroy();
  };
}

export default { render };
