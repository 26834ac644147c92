/** Pictures, decoders and their VAE: under one line, in a grid or in turns, at any noise, gain and exposure. */
import { Bar } from "../bar.js";
import { CodePanel, codeOf } from "../code_panel.js";
import { button, make, painted } from "../dom.js";
import { limitOf } from "../error_maps.js";
import { scoreWords } from "../numbers.js";
import { Pane } from "../pane.js";
import { PaneGrid } from "../pane_grid.js";
import { Picture } from "../picture.js";
import { finish, start } from "../shell.js";
import { keep } from "../table_editor/exports.js";
import { Answers } from "./answers.js";
import { writeScores } from "./choosers.js";
import { Controls } from "./controls.js";
import { Keys } from "./keys.js";
import { Legend } from "./legend.js";
import { Made } from "./made.js";
import { MODES, namesOf, START, settingsOf, settingWords } from "./settings.js";
import { markdownOf, paperOf, pngOf, titleOf, wordsOf } from "./sharing.js";
import { Strip } from "./strip.js";

/**
 * @typedef {import("../types.d.ts").Handle} Handle
 * @typedef {import("../types.d.ts").PictureSpec} PictureSpec
 * @typedef {import("../types.d.ts").WorkbenchData} WorkbenchData
 * @typedef {import("../types.d.ts").WorkbenchPicture} WorkbenchPicture
 * @typedef {import("../types.d.ts").WorkbenchSettings} Settings
 * @typedef {import("../error_maps.js").ErrorMode} ErrorMode
 * @typedef {import("./answers.js").Answer} Answer
 */

const WIDE_PX = 700; // as in widgets.css: from here on the controls stand beside the picture
const CONTROLS_PX = 300;
const LEAST_STAGE_PX = 350;
const CAPTION_PX = 62; // as in widgets.css: name and scores under a picture of the grid
const BLINK_MS = 700; // fewer than three flashes a second
const BUSY_MS = 150;
const STALE_MS = 400;

/**
 * @param {HTMLElement} el
 * @param {WorkbenchData} data
 * @returns {Handle}
 */
export function workbench(el, data) {
  return new Workbench(el, data, start(el, data, "workbench")).handle;
}

class Workbench {
  #answers = new Answers();
  /** What a page without kernel has, by its data. @type {Map<PictureSpec, Picture>} */
  #loaded = new Map();
  #made = new Made();
  #isLost = false;
  #isHolding = false;
  #isFlipped = false;
  #busyTimer = 0;
  #staleTimer = 0;
  #blinkTimer = 0;
  /** Where the colours of errors end. */
  limit = 0;

  /**
   * @param {HTMLElement} el
   * @param {WorkbenchData} data
   * @param {import("../shell.js").Shell} shell
   */
  constructor(el, data, { signal, end, say }) {
    this.el = el;
    this.data = data;
    this.signal = signal;
    this.live = data.live ?? null;
    this.pictures = data.pictures.map((picture) => ({ ...picture }));
    this.sides = [...data.sides];
    this.view = settingsOf(data);
    const { live } = this;
    const send = (/** @type {string} */ name, /** @type {ArrayBuffer} */ blob) => live?.file(name, blob);
    const takes = live && data.drops !== false ? send : null;
    this.strip = new Strip({ onchoose: (picture) => this.#set({ picture }), send: takes, el, signal });
    const bench = make("div", { class: "lf-bench" });
    const room = () => bench.clientWidth - (bench.clientWidth >= WIDE_PX ? CONTROLS_PX : 0);
    const { height, smooth, position } = data;
    this.host = make("div", { class: "lf-host" });
    this.pane = new Pane(this.host, {
      height,
      smooth,
      position,
      signal,
      within: bench,
      room,
      onposition: () => this.#tell(),
    });
    this.grid = new PaneGrid({ height, smooth, within: bench, room, signal, below: CAPTION_PX });
    this.stale = make("p", { class: "lf-stale-words", role: "status", hidden: true });
    this.legend = new Legend((scale) => this.#set({ scale }));
    this.bar = new Bar([this.pane], {
      onsmooth: (isSmooth) => this.#smoothed(isSmooth),
      onpoint: (at) => this.#pointed(at),
    });
    this.stage = make(
      "div",
      { class: "lf-stage" },
      this.stale,
      this.host,
      this.grid.element,
      this.legend.element,
      this.bar.element,
    );
    this.controls = new Controls(data, {
      onset: (part) => this.#set(part),
      onslide: (name, value) => this.#slid(name, value),
      onhold: (isHolding) => this.#hold(isHolding),
      onreset: () => this.#reset(),
    });
    this.keys = new Keys();
    this.box = new CodePanel();
    this.code = codeOf(data, () => this.#values());
    this.controls.shares.append(
      ...(this.code ? [this.code.toggle] : []),
      this.#copyButton(),
      this.#saveButton(),
      this.keys.toggle,
    );
    bench.append(this.stage, this.controls.element);
    el.append(this.strip.element, bench, this.keys.panel, this.box.panel, ...(this.code ? [this.code.panel] : []));
    this.#listen(bench);
    this.controls.choosers.offer({ sides: this.sides, reference: data.reference });
    this.strip.fill(this.pictures);
    signal.addEventListener("abort", () => clearInterval(this.#blinkTimer));
    this.handle = finish(el, {
      ready: Promise.resolve(this.#changed()).then(painted),
      update: (/** @type {any} */ part) => this.update(part),
      state: () => this.state(),
      destroy: end,
      say,
      lost: (/** @type {boolean} */ isLost) => this.#lose(isLost),
      pane: this.pane,
      grid: this.grid,
    });
  }

  state() {
    const scored = Object.fromEntries(
      Object.entries(this.#answers.now).map(([name, picture]) => [name, picture.scores]),
    );
    return {
      ...this.view,
      picture_name: this.pictures[this.view.picture]?.name,
      position: this.pane.position,
      zoom: this.#panes[0].zoom,
      scores: { left: scored[this.view.left] ?? null, right: scored[this.view.right] ?? null },
      waiting: this.#answers.isWaiting,
      stale: !this.stale.hidden,
      limit: this.limit,
    };
  }

  /** @param {HTMLElement} bench */
  #listen(bench) {
    const { el, signal } = this;
    el.addEventListener("keydown", (event) => this.#key(event), { signal });
    window.addEventListener("keyup", (event) => event.key.toLowerCase() === "v" && this.#hold(false), { signal });
    const observer = new ResizeObserver(() => this.#fitStage());
    observer.observe(bench);
    signal.addEventListener("abort", () => observer.disconnect());
  }

  #copyButton() {
    const target = button("Copy scores", "A table in Markdown", () =>
      this.box.offer(
        markdownOf(
          this.#title,
          this.#wanted().map((name) => this.#row(name)),
        ),
        target,
      ),
    );
    return target;
  }

  #saveButton() {
    return button("Save PNG", "What is seen now, with names and scores", () => this.#save());
  }

  // ---- settings

  get #isGrid() {
    return this.view.layout === "grid";
  }

  get #panes() {
    return this.#isGrid ? this.grid.panes : [this.pane];
  }

  /**
   * @param {string} name
   * @param {number | null} value
   */
  #slid(name, value) {
    if (name === "stop") {
      const { sigma, gain } = this.pictures[this.view.picture].views?.[value ?? 0] ?? START;
      return this.#set({ sigma, gain });
    }
    const start = /** @type {Record<string, any>} */ (START);
    return this.#set({ [name]: value ?? start[name] });
  }

  /** @param {Partial<Settings>} part */
  #set(part) {
    const names = part.grid && this.sides.filter((name) => part.grid?.includes(name));
    const order =
      names && [...names].sort((a, b) => Number(b === this.data.reference) - Number(a === this.data.reference));
    Object.assign(this.view, part, order ? { grid: order } : {});
    return this.#changed();
  }

  #reset() {
    this.pane.reset();
    this.grid.reset();
    return this.#set(/** @type {Partial<Settings>} */ ({ ...START }));
  }

  async #changed() {
    this.#showControls();
    if (this.live) this.#ask();
    else await this.#draw();
    this.#tell();
  }

  #showControls() {
    const { view } = this;
    this.controls.show(view);
    this.strip.choose(view.picture);
    this.host.hidden = this.#isGrid;
    this.grid.element.hidden = !this.#isGrid;
    const isBlinking = view.layout === "blink";
    if (isBlinking && !this.#blinkTimer) this.#blinkTimer = window.setInterval(() => this.#blink(), BLINK_MS);
    if (!isBlinking) {
      clearInterval(this.#blinkTimer);
      this.#blinkTimer = 0;
      this.#isFlipped = false;
    }
  }

  /** @param {boolean} isSmooth */
  #smoothed(isSmooth) {
    for (const pane of [this.pane, ...this.grid.panes]) pane.smooth = isSmooth;
    this.grid.smooth = isSmooth;
    this.#tell();
  }

  // ---- what is shown

  /** Name -> Picture of the present view, as far as it is there. */
  #present() {
    if (this.live) return this.#answers.now;
    const { picture, sigma, gain } = this.view;
    const views = this.pictures[picture]?.views ?? [];
    const chosen = views.find((view) => view.sigma === sigma && view.gain === gain) ?? views[0] ?? { sides: {} };
    const load = (/** @type {string} */ name) => {
      const spec = chosen.sides[name] ?? { reason: `there is no picture of ${name}` };
      const known = this.#loaded.get(spec) ?? new Picture(spec);
      this.#loaded.set(spec, known);
      return known;
    };
    this.#answers.now = Object.fromEntries(this.#wanted().map((name) => [name, load(name)]));
    return this.#answers.now;
  }

  /** Names that are looked at, and the reference. */
  #wanted() {
    const { reference } = this.data;
    return [...new Set([...namesOf(this.view), ...(reference ? [reference] : [])])];
  }

  /** Of errors the reference's own is nothing to see, where there is another. */
  #compared() {
    const names = namesOf(this.view);
    const others = names.filter((name) => name !== this.data.reference);
    return this.view.mode !== "picture" && others.length ? others : names;
  }

  async #draw() {
    const sides = this.#present();
    await Promise.all(Object.values(sides).map((picture) => picture.ready));
    if (this.signal.aborted) return;
    const names = this.#compared();
    const { mode, scale } = this.view;
    const reference = sides[this.data.reference ?? ""] ?? null;
    const maps =
      mode === "picture" ? [] : names.flatMap((name) => this.#made.errors(sides[name], reference, mode) ?? []);
    this.limit = mode === "picture" ? 0 : limitOf(mode, scale, maps);
    const pictures =
      this.#isHolding && reference
        ? names.map(() => this.#labelled(this.#made.exposed(reference, this.view.exposure), this.data.reference ?? ""))
        : names.map((name) => this.#labelled(this.#seen(sides[name], reference), name));
    this.#put(names, pictures, reference);
    this.#write(names, sides, reference);
    const shown = names.flatMap((name) => {
      const map = mode === "picture" ? null : this.#made.errors(sides[name], reference, mode);
      return map ? [{ name, map }] : [];
    });
    this.legend.show(mode, scale, this.limit, shown);
    this.bar.refresh();
    this.#sayStale();
  }

  /**
   * Pictures go into their panes.
   *
   * @param {string[]} names
   * @param {Picture[]} pictures
   * @param {Picture | null} reference
   */
  #put(names, pictures, reference) {
    const wanted = reference?.canvas ? /** @type {[number, number]} */ ([reference.width, reference.height]) : null; // as seen, whoever is compared
    if (this.#isGrid) {
      this.grid.count(names.length);
      const sizes = pictures
        .filter((picture) => picture.canvas)
        .map(({ width, height }) => /** @type {[number, number]} */ ([width, height]));
      const largest = wanted ?? sizes.sort((a, b) => b[0] * b[1] - a[0] * a[1])[0] ?? null;
      this.grid.panes.forEach((pane, at) => {
        pane.wantedGrid = largest;
        pane.show(pictures[at]);
        pane.describe(this.#sentence([names[at]]));
      });
      this.grid.layOut();
    } else {
      const isOne = names.length === 1 || this.view.layout === "blink";
      const [first, second = first] = pictures;
      this.pane.whole = isOne || this.#isHolding;
      this.pane.keepsHandle = this.#isHolding && !isOne;
      this.pane.wantedGrid = wanted;
      if (isOne) this.pane.show(this.#isFlipped ? second : first, this.#isFlipped ? second : first);
      else this.pane.show(first, second);
      this.pane.describe(this.#sentence(names));
    }
    if (this.bar.panes !== this.#panes) this.bar.over(this.#panes);
    this.#fitStage();
  }

  /** The stage is as wide as what stands on it. */
  #fitStage() {
    const shown = this.#isGrid ? this.grid.element : this.pane.element;
    const wide = this.#isGrid
      ? [...this.grid.panes.map((pane) => pane.element.offsetLeft + pane.element.offsetWidth)].reduce(
          (a, b) => Math.max(a, b),
          0,
        ) - shown.offsetLeft
      : shown.offsetWidth;
    if (wide > 0) this.stage.style.width = `${Math.max(wide, Math.min(LEAST_STAGE_PX, this.grid.room()))}px`;
  }

  /** @param {string[]} names */
  #sentence(names) {
    const { mode } = this.view;
    const picture = this.pictures[this.view.picture]?.name ?? "a picture";
    const what = mode === "picture" ? "" : `${MODES.find(([each]) => each === mode)?.[1]} of `;
    const [first, second] = names.map((name) => {
      const { psnr, delta_e } = this.#answers.now[name]?.scores ?? {};
      const words = scoreWords({ psnr, delta_e }).join(", ");
      return words ? `${name} (${words})` : name;
    });
    if (!second) return `${picture}: ${what}${first}`;
    const both =
      this.view.layout === "blink"
        ? `${first} and ${second} in turns`
        : `${first} left of the line, ${second} right of it`;
    return `${picture}: ${what}${both}`;
  }

  /**
   * @param {Picture} picture
   * @param {string} label
   */
  #labelled(picture, label) {
    picture.label = label;
    return picture;
  }

  /**
   * A side as the mode shows it; made once.
   *
   * @param {Picture | undefined} picture
   * @param {Picture | null} reference
   */
  #seen(picture, reference) {
    const { mode, exposure } = this.view;
    if (!picture) return new Picture({ reason: "not there yet" });
    if (mode === "picture") return this.#made.exposed(picture, exposure);
    if (!picture.canvas) return picture;
    const map = this.#made.errors(picture, reference, mode);
    if (!map) return new Picture({ reason: `${this.data.reference} gives no picture to compare with` });
    return this.#made.painted(picture, map, this.limit);
  }

  /**
   * Scores, badges, and what is said below.
   *
   * @param {string[]} names
   * @param {Record<string, Picture>} sides
   * @param {Picture | null} reference
   */
  #write(names, sides, reference) {
    const { left, right } = this.view;
    this.controls.choosers.write("left", left, sides[left]?.scores, this.#standing(left));
    this.controls.choosers.write("right", right, sides[right]?.scores, this.#standing(right));
    if (this.#isGrid)
      names.forEach((name, at) => {
        const scores = make("p", { class: "lf-scores" });
        writeScores(scores, sides[name]?.scores, name === this.data.reference, this.#standing(name));
        this.grid.captions[at].replaceChildren(make("b", { class: "lf-name" }, name), scores);
      });
    const size = reference?.canvas ? `, as seen at ${reference.width} × ${reference.height} px` : "";
    const about = this.data.reference ? `Scores against ${this.data.reference}, on the same latents${size}.` : "";
    const own = this.pictures[this.view.picture]?.note ?? "";
    this.controls.note.replaceChildren(
      ...[about, own, this.#answers.estimate].filter(Boolean).map((text) => make("span", {}, text)),
    );
  }

  /**
   * @param {string} name
   * @returns {import("../types.d.ts").Standing}
   */
  #standing(name) {
    const picture = this.pictures[this.view.picture];
    const own = picture?.standings ?? {};
    return name in own ? own[name] : (picture?.standing ?? null);
  }

  /** @param {[number, number] | null} at */
  #pointed(at) {
    if (!at || this.view.mode === "picture") return this.legend.point([]);
    const [column, row] = at;
    const maps = this.#panes.flatMap((pane) => (pane.divided && !pane.whole ? [pane.left, pane.right] : [pane.left]));
    return this.legend.point(maps.flatMap((picture) => picture?.errors?.values[row * picture.width + column] ?? []));
  }

  // ---- in turns

  #blink() {
    if (this.#isHolding) return;
    this.#isFlipped = !this.#isFlipped;
    this.#draw();
  }

  /** @param {boolean} isHolding the VAE's button or key */
  #hold(isHolding) {
    if (this.#isHolding === isHolding || !this.data.reference) return;
    this.#isHolding = isHolding;
    this.controls.hold.setAttribute("aria-pressed", String(isHolding));
    this.stage.classList.toggle("lf-holding", isHolding);
    this.#draw();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.ctrlKey || event.metaKey || event.altKey || target.matches("select, input[type=number], textarea"))
      return;
    const { layout } = this.view;
    const mode = /^[1-4]$/.test(event.key) && this.controls.modes[+event.key - 1]?.dataset.mode;
    const key = event.key.toLowerCase();
    if (mode) this.#set({ mode: /** @type {Settings["mode"]} */ (mode) });
    else if (key === "v") this.#hold(true);
    else if (key === "b") this.#set({ layout: layout === "blink" ? "split" : "blink" });
    else if (key === "g") this.#set({ layout: layout === "grid" ? "split" : "grid" });
    else if (key === " " && layout === "blink" && target.closest(".lf-pane")) this.#pause();
    else if (key === "?") this.keys.turn();
    else return;
    event.preventDefault();
  }

  /** Blinking stops at the other picture; the next time it goes on. */
  #pause() {
    if (this.#blinkTimer) {
      clearInterval(this.#blinkTimer);
      this.#blinkTimer = 0;
    } else this.#blinkTimer = window.setInterval(() => this.#blink(), BLINK_MS);
    this.#blink();
  }

  // ---- what leaves the page

  get #title() {
    return titleOf(this.view, this.pictures[this.view.picture]?.name ?? "", this.data.reference);
  }

  /**
   * What a table or a caption says of a decoder.
   *
   * @param {string} name
   */
  #row(name) {
    const scores = this.#answers.now[name]?.scores ?? null;
    return { name, scores, isReference: name === this.data.reference, standing: this.#standing(name) };
  }

  async #save() {
    const names = this.view.layout === "blink" ? [this.pane.left?.label ?? ""] : this.#compared();
    const words = names.map((name) => wordsOf(this.#row(name)));
    const places = names.length > 1 ? ["left: ", "right: "] : [""];
    const panels = this.#isGrid
      ? this.grid.panes.map(({ canvas }, at) => ({ canvas, lines: words[at] }))
      : [{ canvas: this.pane.canvas, lines: words.map((each, at) => places[at] + each.join("  ")) }];
    const ink = getComputedStyle(this.el).color;
    const soft = getComputedStyle(this.controls.note).color;
    const look = { ratio: this.pane.ratio, ink, soft, paper: paperOf(this.el) };
    const blob = await pngOf(this.#title, panels, this.#isGrid ? this.grid.columns : 1, look);
    const file = [this.pictures[this.view.picture]?.name ?? "picture", ...names].join(" ").replace(/[^\w.-]+/g, "_");
    if (blob) keep(`${file.slice(0, 120)}.png`, blob);
  }

  // ---- with a kernel

  #values() {
    const { picture, ...rest } = this.view;
    const position = +this.pane.position.toFixed(2);
    return { ...rest, picture: this.pictures[picture]?.name, at: picture, position, smooth: this.pane.smooth };
  }

  /** The kernel is asked for what the page lacks. */
  #ask() {
    const question = this.#answers.question(this.view, this.#wanted());
    if (question) {
      this.#wait(true);
      this.live?.newest("view", question);
      this.#sayStale();
    } else if (this.#answers.shown) this.#draw();
  }

  /** @param {boolean} isWaiting for the kernel */
  #wait(isWaiting) {
    clearTimeout(this.#busyTimer);
    clearTimeout(this.#staleTimer);
    if (!isWaiting) {
      this.controls.busy.hidden = true;
      return;
    }
    this.#busyTimer = window.setTimeout(() => {
      this.controls.busy.hidden = false;
    }, BUSY_MS);
    this.#staleTimer = window.setTimeout(() => this.#sayStale(true), STALE_MS);
  }

  /**
   * What is still of another setting is dimmed, and says of which.
   *
   * @param {boolean} isLate whether the kernel takes its time
   */
  #sayStale(isLate = false) {
    const { shown, isWaiting, now } = this.#answers;
    const lacks = this.#wanted().some((name) => !(name in now));
    const isOld = shown !== null && (lacks || !this.#answers.isOf(this.view));
    const isSaid = this.#isLost || isLate || !this.stale.hidden;
    const isStale = isOld && isSaid && (isWaiting || this.#isLost);
    this.stale.hidden = !isStale;
    this.stage.classList.toggle("lf-stale", isStale);
    if (!isStale || !shown) return;
    const picture = this.pictures[shown.picture]?.name.split("/").pop() ?? "";
    this.stale.textContent = `Still of ${picture}, ${namesOf(shown).join(" and ")}, ${settingWords(shown)}`;
  }

  /** @param {boolean} isLost whether the kernel is gone or silent */
  #lose(isLost) {
    if (this.#isLost === isLost) return;
    this.#isLost = isLost;
    this.el.classList.toggle("lf-lost", isLost);
    this.#sayStale(isLost);
  }

  #tell() {
    this.live?.newest("look", this.#values());
    this.code?.refresh();
  }

  /**
   * A message of the kernel: sides of a view, pictures that came, settings.
   *
   * @param {Partial<Answer> & { all_sides?: string[], pictures?: WorkbenchPicture[], note?: string, failed?: boolean,
   *   view?: Partial<Settings> & { smooth?: boolean }, position?: number }} part
   */
  async update(part) {
    if (part.sides) await this.#answer(/** @type {Answer} */ (part));
    if (part.all_sides) {
      this.sides = part.all_sides;
      this.controls.choosers.offer({ sides: this.sides, reference: this.data.reference });
      this.#showControls();
    }
    if (part.pictures) {
      this.pictures = part.pictures;
      this.strip.fill(this.pictures);
      this.#showControls();
    }
    if (part.note !== undefined) this.strip.say(part.note, part.failed);
    if (part.view) {
      const { smooth, ...view } = part.view;
      if (smooth !== undefined) for (const pane of [this.pane, ...this.grid.panes]) pane.smooth = smooth;
      await this.#set(view.grid?.length ? view : { ...view, grid: this.view.grid });
    }
    if (part.position !== undefined) this.pane.moveTo(part.position);
  }

  /** @param {Answer} answer */
  async #answer(answer) {
    if (this.#answers.lacks(answer)) return this.#ask();
    const isWanted = this.#answers.take(answer, this.view);
    if (!this.#answers.isWaiting) this.#wait(false);
    if (!isWanted) return;
    await this.#draw();
    this.code?.refresh();
  }
}
