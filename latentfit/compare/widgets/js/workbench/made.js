/** What the page makes of pictures that came: errors, their colours, and more exposure; each once. */
import { ErrorMap, exposedPicture } from "../error_maps.js";

/**
 * @typedef {import("../picture.js").Picture} Picture
 * @typedef {import("../error_maps.js").ErrorMode} ErrorMode
 * @typedef {{ reference: Picture | null, errors: Map<ErrorMode, ErrorMap>, seen: Map<string, Picture> }} Known
 */

const MOST_KNOWN = 24;

export class Made {
  /** @type {Map<Picture, Known>} */
  #known = new Map();

  /**
   * @param {Picture} picture
   * @param {Picture | null} reference null: whatever it is
   * @returns {Known}
   */
  #of(picture, reference) {
    const before = this.#known.get(picture);
    const isOld = before && reference && before.reference && before.reference !== reference;
    /** @type {Known} */
    const known = before && !isOld ? before : { reference, errors: new Map(), seen: new Map() };
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
  exposed(picture, stops) {
    return stops && picture.canvas ? this.#seen(picture, `${stops}`, () => exposedPicture(picture, stops)) : picture;
  }

  /**
   * @param {Picture} picture
   * @param {string} key
   * @param {() => Picture} make
   */
  #seen(picture, key, make) {
    const { seen } = this.#of(picture, null);
    const known = seen.get(key) ?? make();
    seen.clear(); // a slider that is dragged asks for each of its places once
    return seen.set(key, known) && known;
  }
}
