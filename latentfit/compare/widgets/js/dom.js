/** Elements, and when they are painted. */

/**
 * An element with attributes, listeners (onclick: …) and children.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} attributes
 * @param {(Node | string | null | undefined)[]} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/**
 * A button, whose name is its text; one that shows a sign alone is given its name.
 *
 * @param {string} text
 * @param {string} title
 * @param {((event: MouseEvent) => void) | null} onclick
 * @param {Record<string, any>} attributes
 */
export function button(text, title, onclick, attributes = {}) {
  return make("button", { type: "button", class: "lf-button", title, onclick, ...attributes }, text);
}

/**
 * A function that lets `work` run at most once a frame.
 *
 * @param {() => void} work
 */
export function onFrame(work) {
  let isAsked = false;
  const run = () => {
    isAsked = false;
    work();
  };
  return () => {
    if (isAsked) return;
    isAsked = true;
    requestAnimationFrame(run);
  };
}

/** Two frames: what was asked for is painted. */
export const painted = () =>
  new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(undefined))));
