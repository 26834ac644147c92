/** What every widget begins with, and what it gives back. */
import { make } from "./dom.js";

/**
 * @typedef {import("./types.d.ts").Common} Common
 * @typedef {import("./types.d.ts").Handle} Handle
 * @typedef {{ signal: AbortSignal, end: () => void, say: (text: string) => void }} Shell
 */

/**
 * CSS pixels within a widget, beside its padding (as in widgets.css).
 *
 * @param {HTMLElement} el
 */
export const roomIn = (el) => el.clientWidth - 4;

/**
 * A clean element with our class and theme, and a signal that ends its listeners.
 *
 * @param {HTMLElement} el
 * @param {Common} data
 * @param {string} kind
 * @returns {Shell}
 */
export function start(el, data, kind) {
  el.latentfit?.destroy();
  el.replaceChildren();
  el.classList.add("lf", `lf-${kind}`);
  el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's keys, such as 0 0, are not for a focused split view
  if (data.theme) el.dataset.theme = data.theme;
  else delete el.dataset.theme;
  const ender = new AbortController();
  const { signal } = ender;
  const ours = (/** @type {KeyboardEvent} */ event) => !event.ctrlKey && !event.metaKey && event.stopPropagation();
  el.addEventListener("keydown", ours, { signal }); // a notebook would scroll on arrows, and not move a slider
  const notice = make("p", { class: "lf-notice", role: "status", hidden: true });
  el.append(notice);
  if (data.title) el.append(make("h3", { class: "lf-title" }, data.title));
  const end = () => {
    ender.abort();
    el.replaceChildren();
    delete el.latentfit;
  };
  const say = (/** @type {string} */ text) => {
    notice.textContent = text;
    notice.hidden = !text;
  };
  return { signal, end, say };
}

/**
 * The handle, which also stands at the element.
 *
 * @param {HTMLElement} el
 * @param {Omit<Handle, "el">} handle
 * @returns {Handle}
 */
export function finish(el, handle) {
  const given = /** @type {Handle} */ ({ el, ...handle });
  el.latentfit = given;
  return given;
}
