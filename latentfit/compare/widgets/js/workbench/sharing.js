/** What leaves the page: the view as a PNG, and its scores as Markdown. */
import { make } from "../dom.js";
import { isNumber, scoreWords } from "../numbers.js";
import { BADGES, MODES, settingWords } from "./settings.js";

/**
 * @typedef {import("../types.d.ts").Scores} Scores
 * @typedef {import("../types.d.ts").Standing} Standing
 * @typedef {{ name: string, scores: Scores | null, isReference: boolean, standing?: Standing }} Row
 * @typedef {{ canvas: HTMLCanvasElement, lines: string[] }} Panel
 */

const FONT = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif";
const LINE_PX = 18;
const GAP_PX = 8;

/** @type {(text: string) => string} */
const cell = (text) => text.replaceAll("|", "\\|").replaceAll("\n", " ");

/**
 * What is seen, in a line.
 *
 * @param {import("../types.d.ts").WorkbenchSettings} view
 * @param {string} picture
 * @param {string | null} reference
 */
export function titleOf(view, picture, reference) {
  const mode = view.mode === "picture" ? "" : `, ${MODES.find(([each]) => each === view.mode)?.[1].toLowerCase()}`;
  const latents = view.sigma || view.gain !== 1 ? `, ${settingWords(view)}` : "";
  return `${picture}${latents}${mode}${reference ? `, against ${reference}` : ""}`;
}

/**
 * A decoder's name, and a line of its scores.
 *
 * @param {Row} row
 */
export function wordsOf({ name, scores, isReference, standing }) {
  const words = isReference ? ["the reference"] : [scoreWords(scores).join("  "), standing ? BADGES[standing][0] : ""];
  return [name, words.filter(Boolean).join("  ·  ")];
}

/**
 * A Markdown table of scores against the reference.
 *
 * @param {string} title
 * @param {Row[]} rows
 */
export function markdownOf(title, rows) {
  const number = (/** @type {unknown} */ value, /** @type {number} */ digits) =>
    isNumber(value) ? value.toFixed(digits) : "–";
  const lines = rows.map(({ name, scores, isReference, standing }) => {
    const psnr = isReference
      ? "reference"
      : isNumber(scores?.psnr) && scores.psnr >= 100
        ? "equal"
        : number(scores?.psnr, 2);
    const delta = isReference ? "reference" : number(scores?.delta_e, 2);
    const seen = isReference || !standing ? "–" : BADGES[standing][0];
    return `| ${cell(name)} | ${psnr} | ${delta} | ${number(scores?.ms, 1)} | ${seen} |`;
  });
  const head = ["| decoder | PSNR (dB) | ΔE2000 | time (ms) | this picture |", "|---|--:|--:|--:|---|"];
  return [title, "", ...head, ...lines, ""].join("\n");
}

/**
 * Panels with lines under each, in rows, on one canvas; its file's bytes.
 *
 * @param {string} title
 * @param {Panel[]} panels of one size, screen pixels
 * @param {number} columns
 * @param {{ ratio: number, ink: string, soft: string, paper: string }} look
 * @returns {Promise<Blob | null>}
 */
export function pngOf(title, panels, columns, { ratio, ink, soft, paper }) {
  const [{ canvas: first }] = panels;
  const gap = Math.round(GAP_PX * ratio);
  const line = Math.round(LINE_PX * ratio);
  const below = line * Math.max(...panels.map(({ lines }) => lines.length)) + gap;
  const head = 2 * gap + line;
  const rows = Math.ceil(panels.length / columns);
  const sheet = document.createElement("canvas");
  sheet.width = columns * (first.width + gap) + gap;
  sheet.height = head + rows * (first.height + below) + gap;
  const context = sheet.getContext("2d");
  if (!context) return Promise.resolve(null);
  const write = (
    /** @type {string} */ text,
    /** @type {number} */ x,
    /** @type {number} */ y,
    /** @type {string} */ colour,
    bold = false,
  ) => {
    context.fillStyle = colour;
    context.font = `${bold ? 600 : 400} ${Math.round(13 * ratio)}px ${FONT}`;
    context.fillText(text, x, y + 0.75 * line, sheet.width - 2 * gap);
  };
  context.fillStyle = paper;
  context.fillRect(0, 0, sheet.width, sheet.height);
  write(title, gap, gap, soft);
  panels.forEach(({ canvas, lines }, index) => {
    const x = gap + (index % columns) * (first.width + gap);
    const y = head + Math.floor(index / columns) * (first.height + below);
    context.drawImage(canvas, x, y);
    lines.forEach((text, at) => {
      write(text, x, y + first.height + Math.round(gap / 3) + at * line, at ? soft : ink, !at);
    });
  });
  return new Promise((resolve) => sheet.toBlob(resolve, "image/png"));
}

/**
 * The colour that stands behind an element.
 *
 * @param {HTMLElement} el
 */
export function paperOf(el) {
  const paper = make("span", { class: "lf-paper" });
  el.append(paper);
  const colour = getComputedStyle(paper).backgroundColor;
  paper.remove();
  return colour;
}
