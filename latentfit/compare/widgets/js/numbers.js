/**
 * Numbers as the page takes them, and the words for scores and times.
 *
 * @typedef {import("./types.d.ts").Bytes} Bytes
 * @typedef {import("./types.d.ts").Numbers} Numbers
 * @typedef {import("./types.d.ts").Scores} Scores
 */

/** @type {(value: number, low: number, high: number) => number} */
export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

/**
 * @param {unknown} value
 * @returns {value is number}
 */
export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** @type {(value: Bytes) => Uint8Array<ArrayBuffer>} */
export function bytesOf(value) {
  if (typeof value === "string") return Uint8Array.from(atob(value), (letter) => letter.charCodeAt(0));
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  return new Uint8Array(/** @type {ArrayBuffer} */ (value.buffer), value.byteOffset, value.byteLength);
}

/** @type {(bits: number) => number} */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** @type {(array: Numbers) => Float64Array<ArrayBuffer>} */
export function numbersOf(array) {
  if (Array.isArray(array)) return Float64Array.from(array.flat());
  const bytes = bytesOf(array.data).slice(); // typed arrays want aligned memory
  if (array.dtype === "uint8") return Float64Array.from(bytes);
  if (array.dtype === "float16") return Float64Array.from(new Uint16Array(bytes.buffer), fromHalf);
  return Float64Array.from(new Float32Array(bytes.buffer));
}

/** @type {(ms: number) => string} */
export const msWords = (ms) => `${ms < 10 ? ms.toPrecision(2) : ms.toFixed(0)} ms`;

/**
 * The scores that are known, a word each.
 * @type {(scores: Scores | null | undefined) => string[]}
 */
export function scoreWords(scores) {
  const words = [];
  if (isNumber(scores?.psnr)) words.push(scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB`);
  if (isNumber(scores?.delta_e)) words.push(`ΔE ${scores.delta_e.toFixed(1)}`);
  if (isNumber(scores?.ms)) words.push(msWords(scores.ms));
  return words;
}
