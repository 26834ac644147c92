/** What a workbench shows, in names and words. */

/**
 * @typedef {import("../types.d.ts").WorkbenchData} WorkbenchData
 * @typedef {import("../types.d.ts").WorkbenchSettings} Settings
 * @typedef {import("../types.d.ts").Standing} Standing
 */

export const MOST_IN_GRID = 6;
/** What "Reset" gives back. */
export const START = Object.freeze({ sigma: 0, gain: 1, exposure: 0, mode: "picture", scale: "fixed" });

/** @type {[import("../types.d.ts").Mode, string, string][]} */
export const MODES = [
  ["picture", "Picture", "The pictures themselves"],
  ["lightness", "Lightness error", "How much too light (red) or too dark (blue), in L*"],
  ["delta_e", "Colour error ΔE", "CIEDE2000: 1 is just seen side by side, 10 at a glance"],
  ["difference", "Difference ×4", "The difference four times over, about grey"],
];

/** @type {[import("../types.d.ts").Layout, string, string][]} */
export const LAYOUTS = [
  ["split", "Split view", "Two pictures under a line that moves"],
  ["grid", "Grid", `Up to ${MOST_IN_GRID} pictures beside each other`],
  ["blink", "Blink", "Two pictures in turns, at one place"],
];

/** Words of a badge, and what it means. @type {Record<string, [string, string]>} */
export const BADGES = {
  held_out: ["held out", "This picture was left out when the decoder was fitted"],
  fitted_on: ["fitted on this", "The decoder was fitted on this picture: here it scores better than elsewhere"],
};

/**
 * The settings that a page begins with.
 *
 * @param {WorkbenchData} data
 * @returns {Settings}
 */
export function settingsOf(data) {
  const others = data.sides.filter((name) => name !== data.reference);
  const left = data.left ?? others[0] ?? data.sides[0];
  const given = data.mode ?? "picture";
  return {
    picture: data.picture ?? 0,
    left,
    right: data.right ?? data.reference ?? others[1] ?? data.sides[0],
    grid: data.grid?.length ? data.grid.slice(0, MOST_IN_GRID) : firstGrid(data),
    layout: data.layout ?? "split",
    mode: MODES.some(([mode]) => mode === given) ? given : "picture",
    scale: data.scale ?? "fixed",
    sigma: data.sigma ?? 0,
    gain: data.gain ?? 1,
    exposure: data.exposure ?? 0,
  };
}

/**
 * The reference first, then what is compared.
 *
 * @param {WorkbenchData} data
 */
function firstGrid({ sides, reference }) {
  const first = reference ? [reference] : [];
  return [...first, ...sides.filter((name) => name !== reference)].slice(0, MOST_IN_GRID);
}

/**
 * The names that are looked at.
 *
 * @param {Settings} view
 */
export const namesOf = (view) => (view.layout === "grid" ? view.grid : [...new Set([view.left, view.right])]);

/** What a setting of the latents is called. @type {(view: { sigma: number, gain: number }) => string} */
export function settingWords({ sigma, gain }) {
  const parts = [`noise σ ${sigma.toFixed(2)}`];
  if (gain !== 1) parts.push(`latent gain × ${gain.toFixed(2)}`);
  return parts.join(", ");
}
