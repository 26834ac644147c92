/** Whether a decoder saw a picture when it was fitted. */
import { make } from "../dom.js";
import { BADGES } from "./settings.js";

/**
 * @param {import("../types.d.ts").Standing | undefined} standing
 * @returns {HTMLElement | null}
 */
export function badge(standing) {
  if (!standing) return null;
  const [words, title] = BADGES[standing];
  return make("span", { class: `lf-badge lf-${standing.replace("_", "-")}`, title }, words);
}
