/** What stands beside the picture: layout, decoders, mode, sliders, and what is said of the view. */
import { button, make } from "../dom.js";
import { Choosers } from "./choosers.js";
import { LAYOUTS, MODES } from "./settings.js";
import { Sliders } from "./sliders.js";

/**
 * @typedef {import("../types.d.ts").WorkbenchData} WorkbenchData
 * @typedef {import("../types.d.ts").WorkbenchSettings} Settings
 * @typedef {object} Listeners
 * @property {(part: Partial<Settings>) => void} onset
 * @property {(name: string, value: number | null) => void} onslide
 * @property {(isHolding: boolean) => void} onhold
 * @property {() => void} onreset
 */

export class Controls {
  /**
   * @param {WorkbenchData} data
   * @param {Listeners} listeners
   */
  constructor(data, { onset, onslide, onhold, onreset }) {
    this.choosers = new Choosers(onset);
    const views = data.pictures[0]?.views ?? [];
    this.sliders = new Sliders({ live: Boolean(data.live), sigma_most: data.sigma_most ?? 4, views }, onslide);
    this.layouts = LAYOUTS.map(([layout, text, title]) =>
      button(text, title, () => onset({ layout }), { "data-layout": layout }),
    );
    const modes = MODES.filter(([mode]) => mode === "picture" || data.reference);
    this.modes = modes.map(([mode, text, title]) => button(text, title, () => onset({ mode }), { "data-mode": mode }));
    this.busy = make("span", { class: "lf-busy", hidden: true, title: "The kernel is at work" });
    this.note = make("p", { class: "lf-small" });
    this.hold = button("Hold for the VAE", "While it is pressed, the VAE stands everywhere (V)", null, {
      "aria-pressed": "false",
    });
    this.hold.hidden = !data.reference;
    listenToHold(this.hold, onhold);
    const reset = button("Reset", "Mode, noise, gain, exposure and zoom as at first", onreset);
    this.shares = make("div", { class: "lf-row-buttons lf-shares" });
    this.element = make(
      "div",
      { class: "lf-controls" },
      make("div", { class: "lf-segments", role: "group", "aria-label": "Layout" }, ...this.layouts),
      this.choosers.element,
      make("div", { class: "lf-segments lf-modes", role: "group", "aria-label": "What is shown" }, ...this.modes),
      this.sliders.element,
      make("div", { class: "lf-row-buttons" }, this.hold, reset, this.busy),
      this.note,
      this.shares,
    );
  }

  /** @param {Settings} view */
  show(view) {
    this.choosers.show(view);
    this.sliders.show(view);
    for (const each of this.layouts) each.setAttribute("aria-pressed", String(each.dataset.layout === view.layout));
    for (const each of this.modes) each.setAttribute("aria-pressed", String(each.dataset.mode === view.mode));
  }
}

/**
 * A button that does something for as long as it is pressed.
 *
 * @param {HTMLButtonElement} hold
 * @param {(isHolding: boolean) => void} onhold
 */
function listenToHold(hold, onhold) {
  const isPress = (/** @type {KeyboardEvent} */ event) => [" ", "Enter"].includes(event.key);
  hold.addEventListener("pointerdown", () => onhold(true));
  hold.addEventListener("keydown", (event) => isPress(event) && onhold(true));
  hold.addEventListener("keyup", (event) => isPress(event) && onhold(false));
  for (const type of ["pointerup", "pointercancel", "pointerleave", "blur"])
    hold.addEventListener(type, () => onhold(false));
}
