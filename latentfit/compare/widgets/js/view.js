/** What is looked at, and by which steps it is zoomed. */
import { clamp } from "./numbers.js";

/**
 * @typedef {[number, number]} Pair
 * @typedef {{ x: number, y: number, width: number, height: number }} Place
 * @typedef {{ draw(): void }} Drawn
 */

export const MOST_ZOOM = 32;
const WHOLE_SHARE = 0.93; // of the room that whole screen pixels must fill to be preferred
const STOPS = [
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
  MOST_ZOOM,
];

/**
 * Screen pixels per picture pixel at which all of a grid is shown: its width first, as far as the height allows; a whole
 * number where that loses next to nothing of the room, so that picture pixels stay whole.
 *
 * @param {Pair} room
 * @param {Pair} grid
 */
export function fitZoom([width, height], grid) {
  const zoom = Math.min(width / grid[0], height / grid[1]);
  const whole = Math.floor(zoom + 1e-6);
  return whole >= WHOLE_SHARE * zoom ? whole : zoom;
}

/**
 * The stop after this zoom (step 1) or before it (-1); undefined at the ends, which are the fitted zoom and `MOST_ZOOM`.
 *
 * @param {number} step
 * @param {number} now
 * @param {number} fitted
 */
export function nextStop(step, now, fitted) {
  const stops = [fitted, ...STOPS.filter((zoom) => zoom > fitted + 1e-6)];
  return step > 0 ? stops.find((zoom) => zoom > now + 1e-6) : stops.findLast((zoom) => zoom < now - 1e-6);
}

/**
 * Where a picture lies on a grid: all of it where their shapes agree to 2 % or a pixel of the picture, else in its
 * middle, as large as fits; as latentfit.compare.figures.canvas.placed.
 *
 * @param {Pair} picture
 * @param {Pair} grid
 * @returns {Place}
 */
export function placeOf([width, height], [wide, high]) {
  const apart = Math.abs(width * high - height * wide);
  if (apart <= Math.max(0.02 * width * high, wide, high)) return { x: 0, y: 0, width: wide, height: high };
  const scale = Math.min(wide / width, high / height);
  const place = { width: Math.max(1, Math.round(scale * width)), height: Math.max(1, Math.round(scale * height)) };
  return { x: Math.floor((wide - place.width) / 2), y: Math.floor((high - place.height) / 2), ...place };
}

/**
 * The middle that is looked at, so that no more of the room stays empty than must.
 *
 * @param {number} middle
 * @param {number} room screen pixels
 * @param {number} extent screen pixels of the whole picture
 */
export function middleWithin(middle, room, extent) {
  const half = room / (2 * extent);
  return half >= 0.5 ? 0.5 : clamp(middle, half, 1 - half);
}

/** Screen pixels per picture pixel (0: as large as fits) and the middle, as shares of the picture; of several panes. */
export class View {
  zoom = 0;
  x = 0.5;
  y = 0.5;
  /** @type {Set<Drawn>} */
  panes = new Set();

  draw() {
    for (const pane of this.panes) pane.draw();
  }

  reset() {
    Object.assign(this, { zoom: 0, x: 0.5, y: 0.5 });
    this.draw();
  }
}
