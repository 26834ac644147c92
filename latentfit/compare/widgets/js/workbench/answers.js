/** What a kernel was asked for, and what came. */
import { Picture } from "../picture.js";
import { namesOf } from "./settings.js";

/**
 * @typedef {import("../types.d.ts").PictureSpec} PictureSpec
 * @typedef {import("../types.d.ts").WorkbenchSettings} Settings
 * @typedef {PictureSpec & { key: string, kept?: boolean }} SentSide
 * @typedef {{ sides: Record<string, SentSide>, key: string, estimate?: string }} Answer
 */

const MOST_KEPT = 36;

/** What decides the latents. @type {(view: Settings) => string} */
const keyOf = ({ picture, sigma, gain }) => JSON.stringify([picture, sigma, gain]);

export class Answers {
  /** What came, by the kernel's key. @type {Map<string, Picture>} */
  #kept = new Map();
  /** What was asked for, by its key. @type {Map<string, Settings>} */
  #questions = new Map();
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
    const picture = (spec.kept && this.#kept.get(spec.key)) || new Picture(spec);
    this.#kept.delete(spec.key);
    if (!picture.reason) this.#kept.set(spec.key, picture); // a decoder may be mended: a failure is asked for again
    picture.scores = spec.scores ?? picture.scores;
    return picture;
  }
}
