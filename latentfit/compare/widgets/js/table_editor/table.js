/** The coefficients: a row of sliders and numbers for each term, in groups that fold. */
import { button, make } from "../dom.js";
import { clamp } from "../numbers.js";
import { LETTERS } from "./residuals.js";
import { groupsOf, niceLimit, termWords } from "./terms.js";

/**
 * @typedef {import("../types.d.ts").TableEditorData} TableEditorData
 * @typedef {{ decimals: number, ranges: HTMLInputElement[], numbers: HTMLInputElement[], element: HTMLElement }} Row
 * @typedef {{ onset: (term: number, channel: number, value: number, source: HTMLInputElement) => void, onsettle: () => void }} Listeners
 */

const MOST_ROWS = 60;

export class CoefficientTable {
  /** @type {Map<number, Row>} */
  #rows = new Map();
  values = new Float64Array();

  /**
   * @param {TableEditorData} data
   * @param {Float64Array} first
   * @param {Float64Array | null} solution
   * @param {Listeners} listeners
   */
  constructor(data, first, solution, listeners) {
    this.data = data;
    this.first = first;
    this.solution = solution;
    this.listeners = listeners;
    const letters = LETTERS.map((letter) => make("span", { class: `lf-c${letter}` }, letter));
    const head = make(
      "div",
      { class: "lf-trow lf-thead", "aria-hidden": "true" },
      make("span", {}, "term"),
      ...letters,
    );
    this.element = make(
      "div",
      { class: "lf-table", role: "group", tabindex: 0, "aria-label": `Coefficients of ${data.name}` },
      head,
    );
  }

  /** @param {Float64Array<ArrayBuffer>} values */
  fill(values) {
    this.values = values;
    if (this.element.children.length > 1) this.refresh();
    else for (const group of groupsOf(this.data)) this.element.append(this.#group(group));
  }

  /** @param {import("./terms.js").Group} group */
  #group({ title, terms, open }) {
    const numbers = terms.flatMap((term) => [0, 1, 2].map((c) => 3 * term + c));
    const limit = niceLimit(numbers.flatMap((at) => [this.first[at], this.solution?.[at] ?? 0]));
    const body = make("div");
    const box = make(
      "details",
      { class: "lf-group2" },
      make("summary", {}, title, make("small", {}, ` ${terms.length}`)),
      body,
    );
    const fill = (/** @type {number[]} */ shown) => {
      body.replaceChildren(...shown.map((term) => (this.#rows.get(term) ?? this.#row(term, limit)).element));
      if (shown.length < terms.length) {
        const more = button(`Show all ${terms.length}`, "All terms of this group", () => fill(terms));
        more.classList.add("lf-more");
        body.append(more);
      }
      this.refresh(shown);
    };
    const begin = () => {
      if (body.children.length) return;
      const size = (/** @type {number} */ term) =>
        Math.max(...[0, 1, 2].map((c) => Math.abs(this.first[3 * term + c])));
      const largest = new Set([...terms].sort((a, b) => size(b) - size(a)).slice(0, MOST_ROWS));
      fill(terms.filter((term) => largest.has(term)));
    };
    box.addEventListener("toggle", () => box.open && begin());
    if (open) {
      begin();
      box.open = true;
    }
    return box;
  }

  /**
   * @param {number} term
   * @param {number} limit
   */
  #row(term, limit) {
    const name = this.data.terms[term];
    const decimals = clamp(Math.ceil(2 - Math.log10(limit)), 3, 6);
    const isFixed = term === 0 && this.data.intercept === false;
    /** @type {Row} */
    const row = { decimals, ranges: [], numbers: [], element: make("div", { class: "lf-trow" }) };
    const cells = [0, 1, 2].map((c) => {
      const label = `${name}, ${LETTERS[c]}`;
      const look = { class: `lf-range lf-c${LETTERS[c]}`, "aria-label": label, disabled: isFixed };
      const range = make("input", { type: "range", min: -limit, max: limit, step: limit / 500, ...look });
      const step = 10 ** (1 - decimals);
      const number = make("input", {
        type: "number",
        step,
        class: "lf-number",
        "aria-label": `${label}, number`,
        disabled: isFixed,
      });
      range.addEventListener("input", () => this.listeners.onset(term, c, +range.value, range));
      number.addEventListener(
        "input",
        () => number.value !== "" && this.listeners.onset(term, c, +number.value, number),
      );
      for (const each of [range, number]) each.addEventListener("change", () => this.listeners.onsettle());
      row.ranges.push(range);
      row.numbers.push(number);
      const cell = make("span", { class: "lf-cell" }, make("span", { class: "lf-rangebox" }, range), number);
      const best = this.solution?.[3 * term + c];
      if (best !== undefined) cell.style.setProperty("--lf-mark", String(clamp(0.5 + best / (2 * limit), 0, 1)));
      return cell;
    });
    row.element.append(make("span", { class: "lf-term", title: name }, ...termWords(name)), ...cells);
    this.#rows.set(term, row);
    return row;
  }

  /**
   * @param {Iterable<number>} terms
   * @param {HTMLInputElement | null} except the one that is being moved
   */
  refresh(terms = this.#rows.keys(), except = null) {
    for (const term of terms) {
      const row = this.#rows.get(term);
      if (!row) continue;
      for (let c = 0; c < 3; c++) {
        const value = this.values[3 * term + c];
        if (row.ranges[c] !== except) row.ranges[c].value = String(value);
        if (row.numbers[c] !== except) row.numbers[c].value = value.toFixed(row.decimals).replace(/^-(?=[0.]+$)/, "");
      }
    }
  }
}
