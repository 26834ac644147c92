/** Sums of monomials over a picture: what a PolynomialMap computes, one coefficient's change at a time. */
import { clamp } from "../numbers.js";

/** @typedef {Pick<import("../types.d.ts").TableForm, "n_channels" | "kernels" | "factors">} Form */

export class MapPlane {
  /** @type {Map<number, Float64Array>} */
  #variables = new Map();

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
    /** Signed red, green and blue. */
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
    const along = (place % side) - (side >> 1);
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
    return (/** @type {number} */ change) => {
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
}
