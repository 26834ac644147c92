/** The split view: two pictures under one movable line. */
import { Bar } from "./bar.js";
import { codeOf } from "./code_panel.js";
import { make, painted } from "./dom.js";
import { Pane } from "./pane.js";
import { Picture } from "./picture.js";
import { finish, roomIn, start } from "./shell.js";

/**
 * @typedef {import("./types.d.ts").CurtainData} CurtainData
 * @typedef {import("./types.d.ts").Handle} Handle
 */

/**
 * @param {HTMLElement} el
 * @param {CurtainData} data
 * @returns {Handle}
 */
export function curtain(el, data) {
  const { signal, end, say } = start(el, data, "curtain");
  const host = make("div", { class: "lf-host" });
  const stage = make("div", { class: "lf-stage" }, host);
  el.append(stage);
  const look = () => {
    data.live?.newest("look", { position: pane.position, smooth: pane.smooth });
    code?.refresh();
  };
  const { height, smooth, position } = data;
  const pane = new Pane(host, {
    height,
    smooth,
    position,
    signal,
    stage,
    within: el,
    room: () => roomIn(el),
    onposition: look,
  });
  const bar = new Bar([pane], { onsmooth: look });
  const code = codeOf(data, () => ({ position: pane.position }));
  stage.append(bar.element);
  if (code) {
    bar.element.append(code.toggle);
    stage.append(code.panel);
  }
  /** @type {{ left: Picture, right: Picture }} */
  const pictures = { left: new Picture(data.left), right: new Picture(data.right) };
  const show = async () => {
    await Promise.all([pictures.left.ready, pictures.right.ready]);
    if (signal.aborted) return;
    pane.show(pictures.left, pictures.right);
    bar.refresh();
  };
  const update = (/** @type {Partial<CurtainData>} */ part) => {
    if (part.position !== undefined) pane.moveTo(part.position);
    if (part.smooth !== undefined) pane.smooth = part.smooth;
    if (part.left) pictures.left = new Picture(part.left);
    if (part.right) pictures.right = new Picture(part.right);
    return part.left || part.right ? show() : pane.draw();
  };
  const state = () => ({
    position: pane.position,
    smooth: pane.smooth,
    zoom: pane.zoom,
    fitted: !pane.view.zoom,
    x: pane.view.x,
    y: pane.view.y,
    grid: pane.grid,
  });
  return finish(el, { ready: show().then(painted), update, state, destroy: end, say, pane });
}
