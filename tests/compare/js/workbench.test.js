import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorMap, limitOf } from "../../../latentfit/compare/widgets/js/error_maps.js";
import { groupsOf } from "../../../latentfit/compare/widgets/js/workbench/choosers.js";
import { histogram } from "../../../latentfit/compare/widgets/js/workbench/legend.js";
import { namesOf, settingsOf } from "../../../latentfit/compare/widgets/js/workbench/settings.js";
import { markdownOf } from "../../../latentfit/compare/widgets/js/workbench/sharing.js";

/** What an ErrorMap asks of a picture. */
function picture(pixels) {
  const made = {
    width: pixels.length,
    height: 1,
    rgba: { data: pixels.flatMap((rgb) => [...rgb, 255]) },
    onGrid: () => made,
  };
  return made;
}

test("errors in words: L* with a sign, ΔE, levels of each colour", () => {
  const [shown, truth] = [
    picture([
      [130, 120, 128],
      [0, 0, 0],
    ]),
    picture([
      [119, 119, 119],
      [255, 255, 255],
    ]),
  ];
  assert.equal(new ErrorMap(shown, truth, "difference").words(0), "+11 +1 +9");
  assert.equal(new ErrorMap(shown, truth, "lightness").words(1), "ΔL* −100.0");
  assert.equal(new ErrorMap(shown, truth, "delta_e").words(1), "ΔE 100.0");
});

test("auto reaches to a round number that all but half a percent stay below", () => {
  const grey = (level) => [level, level, level];
  const truth = picture(Array.from({ length: 1000 }, () => grey(100)));
  const few = picture(Array.from({ length: 1000 }, (_, at) => grey(at < 4 ? 255 : 104)));
  const map = new ErrorMap(few, truth, "lightness");
  assert.ok(map.high > 1 && map.high < 2);
  assert.equal(limitOf("lightness", "auto", [map]), 2);
  assert.equal(limitOf("lightness", "fixed", [map]), 20);
  assert.equal(limitOf("difference", "auto", [map]), 127.5 / 4);
});

test("the histogram counts what lies beyond at its ends", () => {
  assert.deepEqual(histogram([-9, 0, 0.5, 1.5, 2.5, 99], 0, 3, 3), [3, 1, 2]);
});

test("the VAE is the first entry, in a group of its own", () => {
  assert.deepEqual(groupsOf({ sides: ["a", "vae", "the picture itself"], reference: "vae" }), [
    ["VAE (reference)", ["vae"]],
    ["Compared with it", ["a", "the picture itself"]],
  ]);
});

test("a grid begins with the reference and holds at most six", () => {
  const view = settingsOf({
    pictures: [],
    sides: ["a", "b", "c", "d", "e", "f", "vae"],
    reference: "vae",
    layout: "grid",
  });
  assert.deepEqual(namesOf(view), ["vae", "a", "b", "c", "d", "e"]);
  assert.deepEqual([view.left, view.right], ["a", "vae"]);
});

test("scores are copied as a table in Markdown", () => {
  const rows = [
    { name: "vae", scores: { ms: 12 }, isReference: true },
    { name: "3×3 | 1×1", scores: { psnr: 24.126, delta_e: 5.5, ms: 0.52 }, isReference: false, standing: "held_out" },
    { name: "net †", scores: null, isReference: false, standing: "fitted_on" },
  ];
  assert.equal(
    markdownOf("cat, against vae", rows),
    [
      "cat, against vae",
      "",
      "| decoder | PSNR (dB) | ΔE2000 | time (ms) | this picture |",
      "|---|--:|--:|--:|---|",
      "| vae | reference | reference | 12.0 | – |",
      "| 3×3 \\| 1×1 | 24.13 | 5.50 | 0.5 | held out |",
      "| net † | – | – | – | fitted on this |",
      "",
    ].join("\n"),
  );
});
