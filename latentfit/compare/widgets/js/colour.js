/**
 * Colours: sRGB and CIELAB, CIEDE2000, and the scales that errors are painted in.
 *
 * @typedef {[number, number, number]} Rgb
 */
import { clamp } from "./numbers.js";

/** Linear light of each 8-bit level. */
export const LINEAR = Float32Array.from({ length: 256 }, (_, level) => {
  const value = level / 255;
  return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
});

/** @type {(linear: number) => number} */
export const encoded = (linear) => (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055);

/** @type {(hex: string) => Rgb[]} */
const colours = (hex) =>
  hex.split(" ").map((text) => {
    const level = parseInt(text, 16);
    return [level >> 16, (level >> 8) & 255, level & 255];
  });

// ColorBrewer's RdBu, reversed, and Matplotlib's magma, as the figures have them
export const SIGNED = colours("053061 2166ac 4393c3 92c5de d1e5f0 f7f7f7 fddbc7 f4a582 d6604d b2182b 67001f");
export const MAGMA = colours(
  "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
);

/**
 * Paint a share of a scale, 0 to 1, at a place of RGBA.
 *
 * @param {Rgb[]} stops
 * @param {number} share
 * @param {Uint8ClampedArray} out
 * @param {number} to
 */
export function paintLevel(stops, share, out, to) {
  const at = clamp(share, 0, 1) * (stops.length - 1);
  const low = Math.min(Math.floor(at), stops.length - 2);
  const w = at - low;
  for (let c = 0; c < 3; c++) out[to + c] = stops[low][c] * (1 - w) + stops[low + 1][c] * w;
}

/**
 * CIELAB under D65 of RGBA bytes, three numbers a pixel.
 *
 * @param {ArrayLike<number>} rgba
 */
export function labOf(rgba) {
  const n = rgba.length / 4;
  const lab = new Float32Array(3 * n);
  const curve = (/** @type {number} */ t) => (t > 0.008856 ? Math.cbrt(t) : 7.787 * t + 16 / 116);
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

const DEGREE = Math.PI / 180;

const ofSeventhPower = (/** @type {number} */ chroma) => {
  const seventh = chroma ** 7;
  return Math.sqrt(seventh / (seventh + 6103515625));
};

/**
 * CIEDE2000 of two RGBA byte arrays of equal size, a number a pixel (Sharma, Wu and Dalal, 2005).
 *
 * @param {ArrayLike<number>} first
 * @param {ArrayLike<number>} second
 */
export function deltaE2000(first, second) {
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
    const t =
      1 -
      0.17 * Math.cos(hue - 30 * DEGREE) +
      0.24 * Math.cos(2 * hue) +
      0.32 * Math.cos(3 * hue + 6 * DEGREE) -
      0.2 * Math.cos(4 * hue - 63 * DEGREE);
    const offGrey = ((l1 + l2) / 2 - 50) ** 2;
    const turned = 60 * DEGREE * Math.exp(-(((hue / DEGREE - 275) / 25) ** 2));
    const dl = (l2 - l1) / (1 + (0.015 * offGrey) / Math.sqrt(20 + offGrey));
    const dc = (c2 - c1) / (1 + 0.045 * chroma);
    const dh = dH / (1 + 0.015 * chroma * t);
    out[i] = Math.sqrt(
      Math.max(0, dl * dl + dc * dc + dh * dh - 2 * Math.sin(turned) * ofSeventhPower(chroma) * dc * dh),
    );
  }
  return out;
}
