/** Which decoders are looked at: one for each side, or several for the grid; and their scores. */
import { button, make } from "../dom.js";
import { isNumber, msWords } from "../numbers.js";
import { badge } from "./badge.js";
import { MOST_IN_GRID } from "./settings.js";

/**
 * @typedef {import("../types.d.ts").WorkbenchSettings} Settings
 * @typedef {import("../types.d.ts").Scores} Scores
 * @typedef {import("../types.d.ts").Standing} Standing
 * @typedef {{ sides: string[], reference: string | null }} Offer
 */

/** Names in their groups: the VAE in one of its own, before all others. @type {(offer: Offer) => [string, string[]][]} */
export function groupsOf({ sides, reference }) {
  const others = sides.filter((name) => name !== reference);
  return reference
    ? [
        ["VAE (reference)", [reference]],
        ["Compared with it", others],
      ]
    : [["Decoders", others]];
}

/**
 * A decoder's scores, a number with its name each.
 *
 * @param {Scores | null | undefined} scores
 * @param {boolean} isReference
 * @returns {[string, string][]}
 */
export function scoreCells(scores, isReference) {
  /** @type {[string, string]} */
  const time = ["time", isNumber(scores?.ms) ? msWords(scores.ms) : "–"];
  if (isReference) return [["", "the reference"], time];
  const psnr = isNumber(scores?.psnr) ? (scores.psnr >= 100 ? "equal" : `${scores.psnr.toFixed(1)} dB`) : "–";
  return [["PSNR", psnr], ["ΔE", isNumber(scores?.delta_e) ? scores.delta_e.toFixed(1) : "–"], time];
}

/**
 * @param {HTMLElement} target
 * @param {Scores | null | undefined} scores
 * @param {boolean} isReference
 * @param {Standing | undefined} standing
 */
export function writeScores(target, scores, isReference, standing) {
  const cells = scoreCells(scores, isReference).map(([label, value]) =>
    make("span", {}, label ? make("small", {}, label) : null, make("b", {}, value)),
  );
  const mark = isReference ? null : badge(standing);
  target.replaceChildren(...cells, ...(mark ? [mark] : []));
}

export class Choosers {
  /** @type {Offer} */
  #offer = { sides: [], reference: null };
  /** @type {HTMLInputElement[]} */
  #boxes = [];

  /** @param {(part: Partial<Settings>) => void} onchange */
  constructor(onchange) {
    this.onchange = onchange;
    this.selects = { left: this.#select("left"), right: this.#select("right") };
    this.scores = { left: make("p", { class: "lf-scores" }), right: make("p", { class: "lf-scores" }) };
    const swap = () => this.onchange({ left: this.selects.right.value, right: this.selects.left.value });
    const two = [
      this.#card("left"),
      button("⇄", "Swap left and right", swap, { "aria-label": "Swap left and right" }),
      this.#card("right"),
    ];
    two[1].classList.add("lf-swap");
    this.pair = make("div", { class: "lf-pair" }, ...two);
    this.legend = make("legend", { class: "lf-eyebrow" });
    this.list = make("div", { class: "lf-checks" });
    this.many = make("fieldset", { class: "lf-choice lf-many", hidden: true }, this.legend, this.list);
    this.element = make("div", { class: "lf-choosers" }, this.pair, this.many);
  }

  /** @param {"left" | "right"} side */
  #select(side) {
    const select = make("select", { class: "lf-select", "aria-label": `${side} picture` });
    select.addEventListener("change", () => this.onchange({ [side]: select.value }));
    return select;
  }

  /** @param {"left" | "right"} side */
  #card(side) {
    const title = make("span", { class: "lf-eyebrow" }, side === "left" ? "Left" : "Right");
    return make("div", { class: `lf-choice lf-choice-${side}` }, title, this.selects[side], this.scores[side]);
  }

  /** @param {Offer} offer */
  offer(offer) {
    this.#offer = offer;
    for (const select of [this.selects.left, this.selects.right])
      select.replaceChildren(
        ...groupsOf(offer).map(([label, names]) =>
          make("optgroup", { label }, ...names.map((name) => make("option", { value: name }, name))),
        ),
      );
    this.#boxes = [];
    this.list.replaceChildren(
      ...groupsOf(offer).map(([label, names]) =>
        make(
          "div",
          { role: "group", "aria-label": label },
          make("small", {}, label),
          ...names.map((name) => this.#check(name)),
        ),
      ),
    );
  }

  /** @param {string} name */
  #check(name) {
    const box = make("input", { type: "checkbox", value: name });
    box.addEventListener("change", () => {
      const chosen = this.#boxes.filter((each) => each.checked).map((each) => each.value);
      this.onchange({ grid: chosen });
    });
    this.#boxes.push(box);
    return make("label", { class: "lf-check", title: name }, box, make("span", {}, name));
  }

  /** @param {Settings} view */
  show(view) {
    this.selects.left.value = view.left;
    this.selects.right.value = view.right;
    const isGrid = view.layout === "grid";
    this.pair.hidden = isGrid;
    this.many.hidden = !isGrid;
    const isFull = view.grid.length >= MOST_IN_GRID;
    for (const box of this.#boxes) {
      box.checked = view.grid.includes(box.value);
      box.disabled = box.checked ? view.grid.length === 1 : isFull;
    }
    const most = Math.min(MOST_IN_GRID, this.#boxes.length);
    this.legend.textContent = `In the grid: ${view.grid.length} of at most ${most}`;
  }

  /**
   * @param {"left" | "right"} side
   * @param {string} name
   * @param {Scores | null | undefined} scores
   * @param {Standing | undefined} standing
   */
  write(side, name, scores, standing) {
    writeScores(this.scores[side], scores, name === this.#offer.reference, standing);
  }
}
