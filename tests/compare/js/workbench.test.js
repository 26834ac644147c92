import assert from "node:assert/strict";
import { test } from "node:test";
import { ErrorMap, limitOf } from "../../../latentfit/compare/widgets/js/error_maps.js";
import { Answers } from "../../../latentfit/compare/widgets/js/workbench/answers.js";
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

test("what is there is not asked for again, what failed is", () => {
  const answers = new Answers();
  const view = settingsOf({ pictures: [], sides: ["a", "b"], reference: "b" });
  const first = answers.question(view, ["a", "b"]);
  assert.deepEqual([first.names, first.have], [["a", "b"], []]);
  assert.equal(answers.question(view, ["a", "b"]), null); // on its way
  const side = (key) => ({ key, canvas: { width: 1, height: 1 } });
  assert.ok(answers.take({ key: first.key, sides: { a: side("a 1"), b: side("b 1") } }, view));
  assert.equal(answers.isWaiting, false);
  assert.equal(answers.question(view, ["b"]), null); // it is there
  const failed = answers.question({ ...view, left: "c" }, ["c", "b"]);
  assert.deepEqual(failed.have, ["a 1", "b 1"]);
  const sides = { c: { key: "c 1", reason: "no memory left" }, b: { key: "b 1", kept: true } };
  assert.ok(answers.take({ key: failed.key, sides }, { ...view, left: "c" }));
  assert.deepEqual(answers.question({ ...view, left: "c" }, ["b", "c"]).names, ["b", "c"]);
});

test("an answer to what was asked before is kept, and not shown", () => {
  const answers = new Answers();
  const view = settingsOf({ pictures: [], sides: ["a", "b"], reference: "b" });
  const first = answers.question(view, ["a", "b"]);
  const second = answers.question({ ...view, left: "c", sigma: 1 }, ["c", "b"]);
  const canvas = { width: 1, height: 1 };
  assert.equal(answers.take({ key: first.key, sides: { a: { key: "a 1", canvas } } }, { ...view, left: "c" }), false);
  assert.equal(answers.isWaiting, true);
  assert.equal(answers.shown, null);
  assert.ok(
    answers.take(
      { key: second.key, sides: { c: { key: "c 1", canvas }, b: { key: "b 2", canvas } } },
      { ...view, left: "c" },
    ),
  );
  assert.equal(answers.shown.sigma, 1);
  assert.equal(answers.isOf(view), false);
});

test("what has made room since is asked for without it", () => {
  const answers = new Answers();
  const view = settingsOf({ pictures: [], sides: ["a", "b"], reference: "b" });
  const { key } = answers.question(view, ["a", "b"]);
  assert.ok(answers.lacks({ key, sides: { a: { key: "a 1", kept: true } } }));
  assert.equal(answers.question(view, ["a", "b"]).key, key);
});
