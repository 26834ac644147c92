/** Below error maps: the colours with their numbers, how often each occurs, and what the pointer is at. */
import { button, make } from "../dom.js";
import { SCALES } from "../error_maps.js";
import { clamp } from "../numbers.js";

/**
 * @typedef {import("../error_maps.js").ErrorMap} ErrorMap
 * @typedef {import("../error_maps.js").ErrorMode} ErrorMode
 * @typedef {import("../types.d.ts").Scale} Scale
 */

const BINS = 60;
const MOST_LINES = 6;
const DASHES = ["", "5 3", "2 2", "8 3 2 3", "1 3", "10 4"];
const SVG = "http://www.w3.org/2000/svg";

/**
 * How many of the values lie in each of equal parts of a range; what lies beyond it is counted at its ends.
 *
 * @param {ArrayLike<number>} values
 * @param {number} low
 * @param {number} high
 * @param {number} bins
 */
export function histogram(values, low, high, bins = BINS) {
  const counts = new Array(bins).fill(0);
  for (let i = 0; i < values.length; i++)
    counts[clamp(Math.floor(((values[i] - low) / (high - low)) * bins), 0, bins - 1)]++;
  return counts;
}

/** @type {(value: number) => string} */
const words = (value) => (value < 0 ? `−${Math.abs(value)}` : `${value}`);

export class Legend {
  /** @param {(scale: Scale) => void} onscale */
  constructor(onscale) {
    this.title = make("span", { class: "lf-legendtitle" });
    this.fixed = button("", "The same range for every picture, so that maps compare", () => onscale("fixed"));
    this.auto = button("auto", "As far as the errors of what is shown go", () => onscale("auto"));
    this.range = make(
      "span",
      { class: "lf-group", role: "group", "aria-label": "Range of the colours" },
      this.fixed,
      this.auto,
    );
    this.chart = document.createElementNS(SVG, "svg");
    this.chart.setAttribute("class", "lf-histogram");
    this.chart.setAttribute("viewBox", `0 0 ${BINS} 100`);
    this.chart.setAttribute("preserveAspectRatio", "none");
    this.chart.setAttribute("role", "img");
    this.colours = make("i", { class: "lf-colours" });
    this.marks = make("span", { class: "lf-marks" });
    this.low = make("span");
    this.middle = make("span");
    this.high = make("span");
    this.names = make("div", { class: "lf-names" });
    const scale = make("div", { class: "lf-scalebox" }, this.chart, this.colours, this.marks);
    this.element = make(
      "div",
      { class: "lf-legend", hidden: true },
      make("div", { class: "lf-legendhead" }, this.title, this.range),
      scale,
      make("div", { class: "lf-ticks" }, this.low, this.middle, this.high),
      this.names,
    );
  }

  /**
   * @param {ErrorMode | "picture"} mode
   * @param {Scale} scale
   * @param {number} limit
   * @param {{ name: string, map: ErrorMap }[]} shown
   */
  show(mode, scale, limit, shown) {
    this.element.hidden = mode === "picture" || !shown.length;
    if (mode === "picture" || !shown.length) return;
    const { stops, title, isSigned, limit: fixed, isFixed } = SCALES[mode];
    this.bounds = [isSigned ? -limit : 0, limit];
    this.title.textContent = title;
    this.range.hidden = isFixed;
    this.fixed.textContent = isSigned ? `±${fixed}` : `0–${fixed}`;
    this.fixed.setAttribute("aria-pressed", String(scale === "fixed"));
    this.auto.setAttribute("aria-pressed", String(scale === "auto"));
    this.colours.style.background = `linear-gradient(90deg,${stops.map((rgb) => `rgb(${rgb.join(" ")})`).join(",")})`;
    const round = +limit.toFixed(1);
    this.low.textContent = isSigned ? `${words(-round)} too dark` : "0";
    this.middle.textContent = isSigned ? "0" : words(round / 2);
    this.high.textContent = isSigned ? `too light +${round}` : words(round);
    this.#draw(shown.slice(0, MOST_LINES));
  }

  /** @param {{ name: string, map: ErrorMap }[]} shown */
  #draw(shown) {
    const [low, high] = this.bounds ?? [0, 1];
    const all = shown.map(({ map }) => histogram(map.values, low, high).map(Math.sqrt)); // so that few large errors are seen
    const most = Math.max(1, ...all.flat());
    this.chart.replaceChildren(
      ...all.map((counts, index) =>
        outline(
          counts.map((count) => 100 - (96 * count) / most),
          index,
        ),
      ),
    );
    const means = shown.map(
      ({ map }) => map.values.reduce((sum, value) => sum + Math.abs(value), 0) / map.values.length,
    );
    this.chart.setAttribute(
      "aria-label",
      `How often each error occurs; mean ${shown.map(({ name }, at) => `${name} ${means[at].toFixed(1)}`).join(", ")}`,
    );
    this.names.replaceChildren(
      ...shown.map(({ name }, index) => make("span", {}, swatch(index), `${name}, mean ${means[index].toFixed(1)}`)),
    );
  }

  /**
   * Marks at the errors under the pointer.
   *
   * @param {number[]} values
   */
  point(values) {
    const [low, high] = this.bounds ?? [0, 1];
    const place = (/** @type {number} */ value) => `${100 * clamp((value - low) / (high - low), 0, 1)}%`;
    this.marks.replaceChildren(...values.map((value) => make("u", { style: `left:${place(value)}` })));
  }
}

/**
 * @param {number[]} heights
 * @param {number} index
 */
function outline(heights, index) {
  const line = document.createElementNS(SVG, "path");
  const steps = heights.map((y, at) => `${at ? "L" : "M"}${at},${y.toFixed(1)}H${at + 1}`).join("");
  line.setAttribute("d", index ? steps : `M0,100L${steps.slice(1)}V100Z`);
  line.setAttribute("class", index ? "lf-line" : "lf-area");
  if (index) line.setAttribute("stroke-dasharray", DASHES[index]);
  return line;
}

/** @param {number} index */
function swatch(index) {
  const box = document.createElementNS(SVG, "svg");
  box.setAttribute("viewBox", "0 0 22 10");
  box.setAttribute("class", "lf-histswatch");
  box.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(SVG, "path");
  line.setAttribute("d", index ? "M0,5H22" : "M0,10V2H22V10Z");
  line.setAttribute("class", index ? "lf-line" : "lf-area");
  if (index) line.setAttribute("stroke-dasharray", DASHES[index]);
  box.append(line);
  return box;
}
