/** Noise, gain and exposure. */
import { make } from "../dom.js";

/**
 * @typedef {import("../types.d.ts").WorkbenchView} WorkbenchView
 * @typedef {object} Slider
 * @property {string} name of the setting
 * @property {string} label
 * @property {string} title
 * @property {number} low
 * @property {number} high
 * @property {number} step
 * @property {(value: number) => string} words
 */

const NOISE = "Noise that a live preview sees at mid-run: the latents are replaced by a simulated estimate of them";
const NOISE_LABEL = "noise σ (preview at mid-run)";

/** @type {(most: number) => Slider} */
const noise = (most) => ({
  name: "sigma",
  label: NOISE_LABEL,
  title: NOISE,
  low: 0,
  high: most,
  step: most / 80,
  words: (v) => v.toFixed(2),
});

/** @type {(views: WorkbenchView[]) => Slider} */
const stops = (views) => ({
  name: "stop",
  label: NOISE_LABEL,
  title: NOISE,
  low: 0,
  high: views.length - 1,
  step: 1,
  words: (at) => views[at].sigma.toFixed(2),
});

/** @type {Slider} */
const GAIN = {
  name: "gain",
  label: "latent gain (guidance)",
  title: "Factor on the latents, as strong guidance has",
  low: 0.25,
  high: 2,
  step: 0.05,
  words: (v) => `× ${v.toFixed(2)}`,
};

/** @type {Slider} */
const EXPOSURE = {
  name: "exposure",
  label: "exposure (view only)",
  title: "Stops brighter, in linear light; errors do not change",
  low: -3,
  high: 3,
  step: 0.1,
  words: (v) => `${v > 0 ? "+" : ""}${v.toFixed(1)} EV`,
};

export class Sliders {
  /** @type {Map<string, { input: HTMLInputElement, put: (value: number) => void }>} */
  #known = new Map();

  /**
   * @param {{ live: boolean, sigma_most: number, views: WorkbenchView[] }} given
   * @param {(name: string, value: number | null) => void} onchange null: as at first
   */
  constructor({ live, sigma_most, views }, onchange) {
    this.views = views;
    const made = live ? [noise(sigma_most), GAIN] : views.length > 1 ? [stops(views)] : [];
    this.element = make(
      "div",
      { class: "lf-sliders" },
      ...[...made, EXPOSURE].map((slider) => this.#slider(slider, onchange)),
    );
  }

  /**
   * @param {Slider} slider
   * @param {(name: string, value: number | null) => void} onchange
   */
  #slider({ name, label, title, low, high, step, words }, onchange) {
    const output = make("span", { class: "lf-amount", "aria-hidden": "true" }); // the slider says it itself
    const input = make("input", { type: "range", min: low, max: high, step, class: "lf-range", "aria-label": label });
    const put = (/** @type {number} */ value) => {
      input.value = String(value);
      output.textContent = words(value);
      input.setAttribute("aria-valuetext", words(value));
    };
    input.addEventListener("input", () => onchange(name, +input.value));
    input.addEventListener("dblclick", () => onchange(name, null));
    this.#known.set(name, { input, put });
    return make("label", { class: "lf-slider", title }, make("span", {}, label), output, input);
  }

  /** @param {{ sigma: number, gain: number, exposure: number, mode: string }} view */
  show(view) {
    this.#known.get("sigma")?.put(view.sigma);
    this.#known.get("gain")?.put(view.gain);
    const at = this.views.findIndex((each) => each.sigma === view.sigma && each.gain === view.gain);
    this.#known.get("stop")?.put(Math.max(0, at));
    const exposure = this.#known.get("exposure");
    exposure?.put(view.exposure);
    if (exposure) exposure.input.disabled = view.mode !== "picture"; // of errors there is none
  }
}
