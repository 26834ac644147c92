/** What remains of each colour, as bars: against the true cells, and where least squares would be. */
import { make } from "../dom.js";
import { clamp, msWords } from "../numbers.js";

export const LETTERS = ["R", "G", "B"];
const LEAST_SCALE = 16; // 8-bit levels

/** @type {(errors: number[]) => number} */
const psnr = (errors) => -20 * Math.log10(Math.max(1e-6, Math.hypot(...errors) / Math.sqrt(3) / 255));

export class Residuals {
  #scale = LEAST_SCALE;

  constructor() {
    this.element = make("div", { class: "lf-residuals" });
    this.bars = LETTERS.map((letter) => ({
      fill: make("i", { class: `lf-c${letter}` }),
      mark: make("u"),
      value: make("b"),
    }));
    this.words = make("p", { class: "lf-small" });
    this.title = make("span", { class: "lf-eyebrow" }, "Residual: RMSE in 8-bit levels");
    this.rows = this.bars.map(({ fill, mark, value }, c) =>
      make(
        "div",
        { class: "lf-residual" },
        make("span", {}, LETTERS[c]),
        make("span", { class: "lf-meter" }, fill, mark),
        value,
      ),
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
    this.#scale = Math.max(this.#scale, 1.6 * Math.max(...(least ?? [0])));
    const share = (/** @type {number} */ error) => `${clamp((100 * error) / this.#scale, 0, 100)}%`;
    this.bars.forEach(({ fill, mark, value }, c) => {
      fill.style.width = share(errors[c]);
      mark.hidden = !least;
      if (least) mark.style.left = share(least[c]);
      value.textContent = errors[c].toFixed(1);
    });
    const best = least ? ` · least squares ${psnr(least).toFixed(1)} dB` : "";
    this.words.textContent = `${psnr(errors).toFixed(1)} dB${best} · evaluated in the page in ${msWords(ms)}`;
  }
}
