/** Where a picture is wrong, in numbers and in colours; and pictures with more exposure. */
import { deltaE2000, encoded, LINEAR, labOf, MAGMA, paintLevel, SIGNED } from "./colour.js";
import { Picture } from "./picture.js";

/**
 * @typedef {"lightness" | "delta_e" | "difference"} ErrorMode
 * @typedef {import("./types.d.ts").Scale} Scale
 * @typedef {object} ErrorScale
 * @property {import("./colour.js").Rgb[]} stops
 * @property {string} title
 * @property {boolean} isSigned
 * @property {number} limit of the fixed range
 * @property {boolean} isFixed whether there is no other range
 */

/** As in latentfit.compare.figures.errors and latentfit.compare.widgets.workbench_state. */
export const AMPLIFIED = 4;
const HIGH_SHARE = 0.995; // of the pixels lies below what "auto" reaches to
const AUTO_LIMITS = [1, 2, 3, 5, 10, 15, 20, 30, 50, 100];
const GREYS = Array.from(
  { length: 3 },
  (_, at) => /** @type {import("./colour.js").Rgb} */ ([127.5 * at, 127.5 * at, 127.5 * at]),
);

/** @type {Record<ErrorMode, ErrorScale>} */
export const SCALES = {
  lightness: { stops: SIGNED, title: "lightness error ΔL*", isSigned: true, limit: 20, isFixed: false },
  delta_e: { stops: MAGMA, title: "colour error ΔE (CIEDE2000)", isSigned: false, limit: 30, isFixed: false },
  difference: {
    stops: GREYS,
    title: `difference ×${AMPLIFIED}, in 8-bit levels`,
    isSigned: true,
    limit: 127.5 / AMPLIFIED,
    isFixed: true,
  },
};

/** @type {(value: number, digits?: number) => string} */
const signed = (value, digits = 0) => `${value < 0 ? "−" : "+"}${Math.abs(value).toFixed(digits)}`;

/** The error of a picture against a reference: a number a pixel, at the reference's size. */
export class ErrorMap {
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
    const { stops, isSigned } = SCALES[this.mode];
    const out = new Uint8ClampedArray(4 * values.length).fill(255);
    for (let i = 0, to = 0; i < values.length; i++, to += 4) {
      if (this.mode === "difference")
        for (let c = 0; c < 3; c++) out[to + c] = 127.5 + AMPLIFIED * (shown[to + c] - truth[to + c]);
      else paintLevel(stops, isSigned ? 0.5 + values[i] / (2 * limit) : values[i] / limit, out, to);
    }
    const made = new Picture({ pixels: out, width, height });
    made.errors = this;
    return made;
  }
}

/**
 * Where the colours end: at the mode's own limit, or at a round number that nearly all errors of these maps stay below.
 *
 * @param {ErrorMode} mode
 * @param {Scale} scale
 * @param {ErrorMap[]} maps
 */
export function limitOf(mode, scale, maps) {
  const { limit, isFixed } = SCALES[mode];
  if (scale === "fixed" || isFixed || !maps.length) return limit;
  const high = Math.max(...maps.map((map) => map.high));
  return AUTO_LIMITS.find((each) => each >= high) ?? AUTO_LIMITS[AUTO_LIMITS.length - 1];
}

/**
 * A picture some stops brighter, in linear light; where it is enlarged, that is done first, as in the figure.
 *
 * @param {Picture} picture
 * @param {number} stops
 */
export function exposedPicture(picture, stops) {
  const gain = 2 ** stops;
  const levels = Uint8ClampedArray.from(LINEAR, (linear) => 255 * encoded(Math.min(1, gain * linear)));
  const brighter = (/** @type {Picture} */ { rgba, width, height }) => {
    const pixels = Uint8ClampedArray.from(rgba.data, (level, at) => (at % 4 === 3 ? level : levels[level]));
    return new Picture({ pixels, width, height });
  };
  const made = brighter(picture);
  const grids = new Map([[picture, made]]);
  made.onGrid = (width, height) => {
    const larger = picture.onGrid(width, height);
    const known = grids.get(larger) ?? brighter(larger);
    grids.set(larger, known);
    return known;
  };
  return made;
}
