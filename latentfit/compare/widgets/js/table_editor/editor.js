/** A fitted map's coefficients under sliders; the picture is evaluated in the page. */
import { Bar } from "../bar.js";
import { CodePanel, codeOf } from "../code_panel.js";
import { button, make, onFrame, painted } from "../dom.js";
import { clamp, numbersOf } from "../numbers.js";
import { Pane } from "../pane.js";
import { Picture } from "../picture.js";
import { finish, start } from "../shell.js";
import { comfyuiOf, documentOf, keep } from "./exports.js";
import { MapPlane } from "./plane.js";
import { Residuals } from "./residuals.js";
import { CoefficientTable } from "./table.js";

/**
 * @typedef {import("../types.d.ts").EditorPicture} EditorPicture
 * @typedef {import("../types.d.ts").Handle} Handle
 * @typedef {import("../types.d.ts").Numbers} Numbers
 * @typedef {import("../types.d.ts").TableEditorData} TableEditorData
 */

const WIDE_PX = 780; // as in widgets.css: from here on the table stands beside the picture
const STAGE_SHARE = 0.42;
const MOST_TIMES = 240;

/**
 * @param {HTMLElement} el
 * @param {TableEditorData} data
 * @returns {Handle}
 */
export function tableEditor(el, data) {
  return new TableEditor(el, data, start(el, data, "editor")).handle;
}

class TableEditor {
  /** The coefficient that is moved, and how. @type {{ term: number, channel: number, from: number, move: (change: number) => void } | null} */
  #held = null;
  #isMoved = false;
  #isTold = false;
  /** @type {number[]} */
  #times = [];
  #frames = 0;
  /** @type {MapPlane | null} */
  #plane = null;
  /** @type {Float64Array | null} */
  #cells = null;
  #image = new ImageData(1, 1);
  #picture = new Picture({ reason: "no picture yet" });
  /** @type {number[] | null} */
  #errors = null;
  /** Those of least squares. @type {number[] | null} */
  #leastErrors = null;

  /**
   * @param {HTMLElement} el
   * @param {TableEditorData} data
   * @param {import("../shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.el = el;
    this.data = data;
    this.pictures = [...data.pictures];
    this.live = data.live ?? null;
    this.at = data.picture ?? 0;
    this.first = numbersOf(data.coefficients);
    this.values = data.edited ? numbersOf(data.edited) : this.first.slice();
    this.solution = data.solution ? numbersOf(data.solution) : null;
    this.draw = onFrame(() => this.#frame());
    const stage = make("div", { class: "lf-stage" });
    const edit = make("div", { class: "lf-edit" }, stage);
    const host = make("div", { class: "lf-host" });
    const room = () => (edit.clientWidth >= WIDE_PX ? Math.round(STAGE_SHARE * edit.clientWidth) : edit.clientWidth);
    const { height, smooth = false } = data;
    this.pane = new Pane(host, { height, smooth, signal, stage, within: edit, room });
    this.bar = new Bar([this.pane]);
    this.residuals = new Residuals();
    this.code = codeOf(data);
    this.choose = make("select", { class: "lf-select", "aria-label": "Picture" });
    this.choose.append(...data.pictures.map((picture) => make("option", {}, picture.name)));
    this.choose.hidden = data.pictures.length < 2;
    this.choose.addEventListener("change", () => this.#chosen(this.choose.selectedIndex));
    this.table = new CoefficientTable(data, this.first, this.solution, {
      onset: (term, channel, value, source) => this.set(term, channel, value, source),
      onsettle: () => this.#settle(),
    });
    this.table.fill(this.values);
    stage.append(this.choose, host, this.bar.element, this.residuals.element);
    edit.append(make("div", { class: "lf-tablebox" }, this.table.element, this.#words(), this.#buttons()));
    el.append(edit);
    if (this.code) el.append(this.code.panel);
    el.append(this.copyBox.panel);
    this.handle = finish(el, {
      ready: Promise.resolve(this.#open(this.at)).then(painted),
      update: (/** @type {any} */ part) => this.update(part),
      state: () => this.state(),
      destroy: end,
      say,
      pane: this.pane,
      set: (/** @type {[number, number, number]} */ ...given) => this.set(...given),
      pixels: () => ({ width: this.#picture.width, height: this.#picture.height, data: this.#picture.rgba.data }),
    });
  }

  copyBox = new CodePanel();

  state() {
    return {
      coefficients: [...this.values],
      picture: this.at,
      residual: this.#errors,
      solution_residual: this.#leastErrors,
      evaluate_ms: this.#times.at(-1) ?? null,
      frames: this.#frames,
    };
  }

  get isEdited() {
    return this.values.some((value, at) => value !== this.first[at]);
  }

  #words() {
    const { data } = this;
    const about = `${data.name} · ${data.space} · ${this.values.length / 3} × 3 coefficients, signed range, model-domain latents`;
    const mark = this.solution
      ? make("span", {}, make("i", { class: "lf-marker" }), data.solution_label || "least squares")
      : null;
    return make("p", { class: "lf-small" }, make("span", {}, about), mark);
  }

  #buttons() {
    const label = this.data.solution_label || "least squares";
    const nudge = button("Nudge to least squares", `A quarter of the way to: ${label}`, () => this.#nudge(0.25));
    nudge.classList.add("lf-primary");
    const arrive = button("All the way", label, () => this.#nudge(1));
    nudge.disabled = arrive.disabled = !this.solution;
    const { comfyui } = this.data;
    const copy = button("Copy as ComfyUI", "Lines for comfy/latent_formats.py with these numbers", () =>
      this.#copy(copy),
    );
    copy.hidden = !comfyui;
    copy.disabled = !comfyui?.template;
    if (comfyui?.reason) copy.title = comfyui.reason;
    return make(
      "div",
      { class: "lf-row-buttons" },
      nudge,
      arrive,
      button("Reset", "The coefficients as they were first", () => this.#replace(this.first.slice())),
      button("Export", "Download the table as JSON", () => this.#export()),
      this.code?.toggle,
      copy,
    );
  }

  // ---- changes

  /**
   * One coefficient is moved; the picture follows at the next frame.
   *
   * @param {number} term
   * @param {number} channel
   * @param {number} value
   * @param {HTMLInputElement | null} source
   */
  set(term, channel, value, source = null) {
    if (!Number.isFinite(value)) return;
    const at = 3 * term + channel;
    if (this.#plane && (this.#held?.term !== term || this.#held.channel !== channel)) {
      this.#apply();
      this.#held = { term, channel, from: this.values[at], move: this.#plane.hold(term, channel) };
    }
    this.values[at] = value;
    this.#isMoved = true;
    this.table.refresh([term], source);
    this.draw();
  }

  #settle() {
    this.#tell();
    this.code?.refresh();
  }

  /** @param {Float64Array<ArrayBuffer>} values */
  #replace(values) {
    this.values = values;
    this.#held = null;
    this.#isMoved = false;
    this.#plane?.evaluate(values);
    this.table.fill(values);
    this.draw();
    this.#settle();
  }

  /** @param {number} share of the way to least squares */
  #nudge(share) {
    const { solution } = this;
    if (!solution) return;
    this.#replace(
      share === 1 ? solution.slice() : this.values.map((value, at) => value + share * (solution[at] - value)),
    );
  }

  #apply() {
    if (this.#held && this.#isMoved)
      this.#held.move(this.values[3 * this.#held.term + this.#held.channel] - this.#held.from);
    this.#isMoved = false;
  }

  #frame() {
    if (!this.#plane) return;
    const started = performance.now();
    this.#apply();
    this.#errors = this.#plane.paint(this.#image.data, this.#cells);
    this.#picture.putImage(this.#image);
    this.pane.draw();
    this.#times.push(performance.now() - started);
    if (this.#times.length > MOST_TIMES) this.#times.shift();
    this.#frames++;
    this.residuals.write(this.#errors, this.#leastErrors, this.#times[this.#times.length - 1]);
    if (this.bar.isPointed || this.#frames === 1) this.bar.refresh();
    if (!this.#isTold) this.#tell();
  }

  /**
   * Another picture is chosen here: the kernel is told, too.
   *
   * @param {number} at
   */
  #chosen(at) {
    this.#open(at);
    this.#settle();
  }

  /**
   * Picture `at`, its latents and its true cells.
   *
   * @param {number} at
   */
  #open(at) {
    this.at = clamp(at, 0, Math.max(0, this.pictures.length - 1));
    this.choose.selectedIndex = this.at;
    const given = this.pictures[this.at];
    if (!given) return;
    if (!given.latents) {
      this.live?.newest("picture", { picture: this.at });
      return;
    }
    const [, high, wide] = given.latents.shape;
    const plane = new MapPlane(this.data, numbersOf(given.latents), [high, wide]);
    const cells = given.cells ? numbersOf(given.cells) : null;
    this.#plane = plane;
    this.#cells = cells && given.cells && given.cells.dtype === "uint8" ? cells.map((level) => level / 255) : cells;
    this.#image = new ImageData(wide, high);
    this.#image.data.fill(255);
    this.#leastErrors = null;
    if (this.solution && this.#cells) {
      plane.evaluate(this.solution);
      this.#leastErrors = plane.paint(this.#image.data, this.#cells);
    }
    this.#held = null;
    this.#isMoved = false;
    plane.evaluate(this.values);
    plane.paint(this.#image.data);
    this.#picture = new Picture({ pixels: this.#image.data, width: wide, height: high, label: this.data.name });
    this.pane.show(this.#picture, this.#truth(wide, high));
    this.pane.describe(`${given.name}: ${this.data.name} as edited on the left, the true cells on the right of a line`);
    this.#frame();
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  #truth(width, height) {
    const label = this.data.truth ?? "the VAE's cells";
    const cells = this.#cells;
    if (!cells) return new Picture({ reason: "no true cells were given", label });
    const n = width * height;
    const pixels = Uint8ClampedArray.from({ length: 3 * n }, (_, i) => 255 * cells[(i % 3) * n + Math.floor(i / 3)]);
    return new Picture({ pixels, width, height, label });
  }

  #tell() {
    this.#isTold = true;
    this.live?.newest("coefficients", { picture: this.at }, [Float64Array.from(this.values).buffer]);
  }

  /** @param {{ opened?: { at: number, picture: EditorPicture }, coefficients?: Numbers, picture?: number }} part */
  update(part) {
    if (part.opened) {
      const { at, picture } = part.opened;
      this.pictures[at] = { ...this.pictures[at], ...picture };
      if (at === this.choose.selectedIndex) this.#open(at);
    }
    if (part.coefficients) this.#replace(numbersOf(part.coefficients));
    if (part.picture !== undefined) this.#open(part.picture);
  }

  // ---- what leaves the page

  /** @param {HTMLButtonElement} target */
  #copy(target) {
    const { template = "", edited = template } = this.data.comfyui ?? {};
    const text = comfyuiOf(this.isEdited ? edited : template, this.values);
    return this.copyBox.offer(text, target);
  }

  #export() {
    const made = documentOf(this.data, this.values, this.isEdited);
    keep(
      `${made.name.replace(/[^\w.-]+/g, "_")}.json`,
      new Blob([`${JSON.stringify(made)}\n`], { type: "application/json" }),
    );
  }
}
