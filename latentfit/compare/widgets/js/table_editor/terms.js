/** The terms of a table: in groups, in words, and how far their sliders reach. */
import { make } from "../dom.js";

/**
 * @typedef {{ title: string, terms: number[], open: boolean }} Group
 * @typedef {Pick<import("../types.d.ts").TableForm, "terms" | "factors">} Form
 */

const MOST_OPEN = 18;

/**
 * Terms in groups that fold: constant and channels, neighbours, then one for each degree.
 *
 * @param {Form} form
 * @returns {Group[]}
 */
export function groupsOf({ terms, factors }) {
  const degree = (/** @type {number} */ term) => (term ? factors[term - 1].filter((number) => number >= 0).length : 0);
  const all = terms.map((_, term) => term);
  const near = all.filter((term) => degree(term) < 2 && !terms[term].includes("["));
  const around = all.filter((term) => degree(term) === 1 && terms[term].includes("["));
  const groups = [{ title: "constant and channels", terms: near, open: true }];
  if (around.length) groups.push({ title: "neighbours", terms: around, open: false });
  for (let d = 2; d <= Math.max(...all.map(degree)); d++)
    groups.push({ title: `degree ${d}`, terms: all.filter((term) => degree(term) === d), open: false });
  let total = near.length;
  for (const group of groups.slice(1)) {
    total += group.terms.length;
    group.open = total <= MOST_OPEN;
  }
  return groups;
}

/**
 * A round number that leaves room beyond the largest.
 *
 * @param {number[]} values
 */
export function niceLimit(values) {
  const wanted = 1.4 * Math.max(...values.map(Math.abs), 0.02);
  const power = 10 ** Math.floor(Math.log10(wanted));
  return ([1, 1.5, 2, 3, 5, 7.5].find((step) => step * power >= wanted) ?? 10) * power;
}

/**
 * "x0*x1[-1,+1]" as x₀ x₁ with the place above.
 *
 * @param {string} name
 * @returns {(Node | string)[]}
 */
export function termWords(name) {
  if (name === "1") return ["constant"];
  return name.split("*").flatMap((factor) => {
    const [, number, place] = /^x(\d+)(\[.*\])?$/.exec(factor) ?? [];
    if (number === undefined) return [factor];
    return ["x", make("sub", {}, number), ...(place ? [make("sup", {}, place.slice(1, -1))] : []), " "];
  });
}
