/** The edited table for other programs. */

/** @typedef {import("../types.d.ts").TableEditorData} TableEditorData */

// what a card says of fitted numbers, and not of edited ones; as in latentfit.compare.widgets.table_editor_data
const EVIDENCE = [
  "ridge",
  "censored",
  "rank",
  "condition",
  "residual",
  "r2",
  "converged",
  "n_passes",
  "plain_residual",
  "scores",
  "scored_on",
];

/** @type {(values: Float64Array) => number[][]} */
const rowsOf = (values) =>
  Array.from({ length: values.length / 3 }, (_, term) => [...values.subarray(3 * term, 3 * term + 3)]);

/**
 * A latentfit-table/1 with these numbers; an edited one claims no fit.
 *
 * @param {TableEditorData} data
 * @param {Float64Array} values
 * @param {boolean} isEdited
 */
export function documentOf(data, values, isEdited) {
  const { name, space, kernels, terms } = data;
  /** @type {Record<string, any>} */
  const made = structuredClone(data.document ?? { name, space, kernels, terms });
  if (isEdited && made.card) {
    for (const each of EVIDENCE) delete made.card[each];
    made.card.edited_from = name;
  }
  if (isEdited) made.name = `${name}, edited`;
  made.coefficients = rowsOf(values).map((row) => row.map((value) => +Math.fround(value).toPrecision(9)));
  return made;
}

/** @type {(value: number) => string} as latentfit.formats.programs writes a literal */
const literal = (value) => `${value < 0 || Object.is(value, -0) ? "" : " "}${Math.fround(value).toFixed(7)}`;

/**
 * Lines for ComfyUI's latent format, with these numbers; data.comfyui is what `latentfit.formats` wrote, with places for them.
 *
 * @param {string} template
 * @param {Float64Array} values
 */
export function comfyuiOf(template, values) {
  const [bias, ...weights] = rowsOf(values).map((row) => row.map(literal).join(", "));
  const rows = weights.map((row) => `    [${row}],`).join("\n");
  return template.replace("{rows}", () => rows).replace("{bias}", () => bias);
}

/**
 * Let the reader keep a file.
 *
 * @param {string} name
 * @param {Blob} blob
 */
export function keep(name, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}
