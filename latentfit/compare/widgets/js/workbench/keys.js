/** "?": the keys, and a panel that lists them. */
import { button, make } from "../dom.js";

/** @type {[string, string][]} */
const KEYS = [
  ["← →", "move the line; with Shift by ten"],
  ["Alt and arrows", "move the picture when zoomed in; in the grid without Alt"],
  ["+ −", "zoom in, zoom out; up to 32×"],
  ["0", "fit the picture into the pane"],
  ["V", "hold: the VAE everywhere"],
  ["B", "blink between left and right; Space holds one"],
  ["G", "grid; again: the split view"],
  ["1 2 3 4", "picture, lightness error, colour error, difference"],
  ["Ctrl or ⌘ and wheel", "zoom about the pointer; after a click into the picture the wheel alone"],
  ["two fingers", "zoom and move; one finger sideways moves the line, up or down scrolls the page"],
  ["Esc", "give the wheel back to the page"],
  ["?", "these keys"],
];

export class Keys {
  constructor() {
    const rows = KEYS.flatMap(([key, words]) => [make("dt", {}, make("kbd", {}, key)), make("dd", {}, words)]);
    this.panel = make(
      "div",
      { class: "lf-keys", hidden: true, role: "region", "aria-label": "Keys" },
      make("dl", {}, ...rows),
    );
    this.toggle = button("?", "The keys (?)", () => this.turn(), { "aria-expanded": false, "aria-label": "Keys" });
  }

  turn() {
    this.panel.hidden = !this.panel.hidden;
    this.toggle.setAttribute("aria-expanded", String(!this.panel.hidden));
  }
}
