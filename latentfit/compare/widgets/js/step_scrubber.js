/** A run of states: a slider over the steps, and a pane for each decoder. */
import { Bar } from "./bar.js";
import { codeOf } from "./code_panel.js";
import { button, make, painted } from "./dom.js";
import { clamp, isNumber, msWords, scoreWords } from "./numbers.js";
import { PaneGrid } from "./pane_grid.js";
import { Picture } from "./picture.js";
import { finish, roomIn, start } from "./shell.js";

/**
 * @typedef {import("./types.d.ts").Handle} Handle
 * @typedef {import("./types.d.ts").PictureSpec} PictureSpec
 * @typedef {import("./types.d.ts").Step} Step
 * @typedef {import("./types.d.ts").StepScrubberData} StepScrubberData
 */

const STEPS_A_SECOND = 8;

/**
 * @param {HTMLElement} el
 * @param {StepScrubberData} data
 * @returns {Handle}
 */
export function stepScrubber(el, data) {
  const shell = start(el, data, "scrubber");
  return new StepScrubber(el, data, shell).handle;
}

class StepScrubber {
  /** @type {Map<number, Record<string, Picture>>} */
  #known = new Map();
  #shown = -1;
  #timer = 0;

  /**
   * @param {HTMLElement} el
   * @param {StepScrubberData} data
   * @param {import("./shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.data = data;
    this.signal = signal;
    this.steps = data.steps;
    const last = this.steps.length - 1;
    this.wanted = clamp(data.position ?? last, 0, Math.max(0, last));
    this.grid = new PaneGrid({ ...data, within: el, room: () => roomIn(el), signal });
    this.grid.count(data.names.length);
    this.bar = new Bar(this.grid.panes, { onsmooth: () => this.#tell() });
    this.slider = make("input", {
      type: "range",
      min: 0,
      max: Math.max(0, last),
      step: 1,
      class: "lf-range",
      "aria-label": "Step",
    });
    this.words = make("output", { class: "lf-words" });
    this.chart = sigmaChart(this.steps);
    this.play = button("▶", "Play", () => (this.#timer ? this.#stop() : this.#begin()), { "aria-label": "Play" });
    this.play.classList.add("lf-play");
    this.code = codeOf(data, () => ({ position: this.wanted }));
    const track = make("div", { class: "lf-track" }, this.chart.element, this.slider);
    el.append(this.grid.element, make("div", { class: "lf-steps" }, this.play, track, this.words), this.bar.element);
    if (this.code) {
      this.bar.element.append(this.code.toggle);
      el.append(this.code.panel);
    }
    this.steps.forEach((step, at) => {
      if (step.pictures) this.#remember(at, step.pictures);
    });
    this.slider.addEventListener("input", () => {
      this.#stop();
      this.#go(+this.slider.value);
    });
    signal.addEventListener("abort", () => this.#stop());
    if (!this.steps.length) this.words.textContent = "no steps were recorded";
    this.handle = finish(el, {
      ready: Promise.resolve(this.steps.length ? this.#go(this.wanted) : null).then(painted),
      update: (/** @type {any} */ part) => this.#update(part),
      state: () => ({
        position: this.wanted,
        shown: this.#shown,
        playing: Boolean(this.#timer),
        known: [...this.#known.keys()],
        zoom: this.grid.panes[0]?.zoom,
      }),
      destroy: end,
      say,
      panes: this.grid.panes,
    });
  }

  /**
   * @param {number} at
   * @param {Record<string, PictureSpec>} pictures
   */
  #remember(at, pictures) {
    this.#known.set(at, Object.fromEntries(Object.entries(pictures).map(([name, spec]) => [name, new Picture(spec)])));
  }

  /** @param {number} at */
  async #show(at) {
    const pictures = this.#known.get(at) ?? {};
    const { names } = this.data;
    await Promise.all(names.map((name) => pictures[name]?.ready));
    if (this.signal.aborted || (at !== this.wanted && !this.#timer)) return;
    /** @type {[number, number]} */
    let largest = [0, 0];
    for (const each of [...this.#known.values()].flatMap((all) => Object.values(all)))
      if (each.width * each.height > largest[0] * largest[1]) largest = [each.width, each.height];
    this.grid.panes.forEach((pane, index) => {
      const picture = pictures[names[index]] ?? new Picture({ reason: "not in this step" });
      picture.label ||= names[index];
      picture.note ||= scoreWords(picture.scores).join("  ");
      if (largest[0]) pane.wantedGrid = largest;
      pane.show(picture);
      pane.describe(`${picture.label} of step ${this.steps[at].index ?? at}`);
    });
    this.grid.layOut();
    this.#shown = at;
    this.bar.refresh();
  }

  /** @param {number} at */
  #go(at) {
    this.wanted = clamp(Math.round(at), 0, this.steps.length - 1);
    this.slider.value = String(this.wanted);
    const step = this.steps[this.wanted] ?? {};
    const parts = [`step ${step.index ?? this.wanted} · ${this.wanted + 1} of ${this.steps.length}`];
    if (isNumber(step.timestep)) parts.push(`t ${+step.timestep.toFixed(1)}`);
    if (isNumber(step.sigma)) parts.push(`σ ${step.sigma.toPrecision(3)}`);
    if (isNumber(step.ms)) parts.push(`preview ${msWords(step.ms)}`);
    this.words.textContent = parts.join("   ");
    this.slider.setAttribute("aria-valuetext", this.words.textContent);
    this.chart.mark(this.wanted);
    this.#tell();
    return this.#known.has(this.wanted) ? this.#show(this.wanted) : Promise.resolve();
  }

  #tell() {
    const { wanted } = this;
    const smooth = this.grid.panes[0]?.smooth ?? true;
    this.data.live?.newest("step", { position: wanted, known: this.#known.has(wanted), smooth });
    this.code?.refresh();
  }

  #begin() {
    if (this.wanted >= this.steps.length - 1) this.#go(0);
    this.#playing("❚❚", "Pause");
    this.#timer = window.setInterval(
      () => {
        if (this.#shown !== this.wanted) return; // the next step waits until this one is there
        if (this.wanted >= this.steps.length - 1) this.#stop();
        else this.#go(this.wanted + 1);
      },
      1000 / (this.data.fps ?? STEPS_A_SECOND),
    );
  }

  #stop() {
    clearInterval(this.#timer);
    this.#timer = 0;
    this.#playing("▶", "Play");
  }

  /**
   * @param {string} sign
   * @param {string} name
   */
  #playing(sign, name) {
    this.play.textContent = sign;
    this.play.title = name;
    this.play.setAttribute("aria-label", name);
  }

  /** @param {{ at?: number, pictures?: Record<string, PictureSpec>, position?: number }} part */
  #update(part) {
    if (part.pictures && part.at !== undefined) {
      this.#remember(part.at, part.pictures);
      if (part.at === this.wanted) return this.#show(part.at);
    }
    return part.position === undefined ? undefined : this.#go(part.position);
  }
}

/**
 * Noise over the steps as a small line with a mark; empty where no step knows its sigma.
 *
 * @param {Step[]} steps
 */
function sigmaChart(steps) {
  const svg = (/** @type {string} */ tag, /** @type {Record<string, string | number>} */ attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
    return element;
  };
  const box = { class: "lf-sigmas", viewBox: "0 0 100 24", preserveAspectRatio: "none", "aria-hidden": "true" };
  const element = svg("svg", box);
  const most = Math.max(...steps.map((step) => step.sigma).filter(isNumber), 0);
  const x = (/** @type {number} */ at) => (steps.length > 1 ? (100 * at) / (steps.length - 1) : 50);
  const y = (/** @type {number} */ sigma) => 22 - 20 * Math.sqrt(sigma / most);
  if (!most) return { element, mark() {} };
  const points = steps.flatMap(({ sigma }, at) => (isNumber(sigma) ? [`${x(at)},${y(sigma)}`] : []));
  const mark = svg("line", { y1: 0, y2: 24 });
  element.append(mark, svg("polyline", { points: points.join(" ") }));
  return {
    element,
    /** @param {number} at */
    mark(at) {
      mark.setAttribute("x1", String(x(at)));
      mark.setAttribute("x2", String(x(at)));
    },
  };
}
