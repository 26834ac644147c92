/** Any page: `mount(element, kind, data)`. With a kernel: anywidget's `render`. The data contract is types.d.ts. */
import { curtain } from "./curtain.js";
import { Line, withBuffers } from "./line.js";
import { stepScrubber } from "./step_scrubber.js";
import { tableEditor } from "./table_editor/editor.js";
import { workbench } from "./workbench/workbench.js";

export { deltaE2000 } from "./colour.js";
export { enlarge } from "./enlarge.js";
export { MapPlane } from "./table_editor/plane.js";
export { placeOf } from "./view.js";
export { curtain, stepScrubber, tableEditor, workbench };

/**
 * @typedef {import("./types.d.ts").Handle} Handle
 * @typedef {import("./types.d.ts").Message} Message
 * @typedef {import("./types.d.ts").Model} Model
 */

/** @type {Record<string, (el: HTMLElement, data: any) => Handle>} */
const KINDS = { curtain, table_editor: tableEditor, step_scrubber: stepScrubber, workbench };

/**
 * Put a widget into an element.
 *
 * @param {HTMLElement} el
 * @param {string} kind
 * @param {any} data
 */
export function mount(el, kind, data) {
  const build = KINDS[kind];
  if (!build) throw new Error(`latentfit: no widget of kind ${JSON.stringify(kind)}`);
  return build(el, data);
}

/** @param {{ model: Model, el: HTMLElement }} given */
function render({ model, el }) {
  const ender = new AbortController();
  /** @type {Handle | null} */
  let handle = null;
  const say = (/** @type {string} */ text) => {
    handle?.say(text);
    handle?.lost?.(Boolean(text));
  };
  const line = new Line(model, say, ender.signal);
  const page = mount(el, model.get("kind"), { ...model.get("page"), ...model.get("now"), live: line });
  handle = page;
  const hear = (/** @type {Message} */ message, /** @type {ArrayBufferView[] | undefined} */ buffers) => {
    line.hear(message);
    if (message.type === "update") page.update(withBuffers(message.part, buffers ?? []));
  };
  model.on("msg:custom", hear);
  return () => {
    model.off("msg:custom", hear);
    ender.abort();
    page.destroy();
  };
}

export default { render };
