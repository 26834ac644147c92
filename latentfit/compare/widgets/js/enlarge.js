/**
 * Pictures of another size.
 *
 * @typedef {{ data: Uint8ClampedArray | number[], width: number, height: number }} Pixels
 */

/**
 * RGBA of another size: bilinear, pixel centres at halves, the triangle wider along an axis that shrinks; as
 * latentfit.scores.as_seen.
 *
 * @param {Pixels} rgba
 * @param {number} width
 * @param {number} height
 * @returns {Uint8ClampedArray<ArrayBuffer>}
 */
export function enlarge(rgba, width, height) {
  const across = tapsOf(rgba.width, width);
  const down = tapsOf(rgba.height, height);
  const out = new Uint8ClampedArray(4 * width * height);
  /** @type {Map<number, Float32Array>} */
  const rows = new Map();
  const sum = new Float32Array(3 * width);
  const row = (/** @type {number} */ y) => {
    const line = new Float32Array(3 * width);
    const start = 4 * y * rgba.width;
    across.forEach(({ first, weights }, x) => {
      for (let tap = 0, at = start + 4 * first; tap < weights.length; tap++, at += 4)
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

/**
 * For each of `to` places: the first of `from` that it sees, and the weights of that one and those after it.
 *
 * @param {number} from
 * @param {number} to
 */
function tapsOf(from, to) {
  const reach = Math.max(1, from / to);
  return Array.from({ length: to }, (_, i) => {
    const middle = ((i + 0.5) * from) / to;
    const first = Math.max(0, Math.floor(middle - reach + 0.5));
    const end = Math.min(from, Math.floor(middle + reach + 0.5));
    const weights = Array.from({ length: end - first }, (_, tap) =>
      Math.max(0, 1 - Math.abs(first + tap + 0.5 - middle) / reach),
    );
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => weight / total) };
  });
}
