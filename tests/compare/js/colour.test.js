import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { deltaE2000, labOf, MAGMA, paintLevel } from "../../../latentfit/compare/widgets/js/colour.js";

// made by scikit-image (deltaE_ciede2000 of rgb2lab); tests/compare/test_widgets.py asks it again
const PAIRS = JSON.parse(readFileSync(new URL("delta_e.json", import.meta.url), "utf8"));

test("CIEDE2000 is scikit-image's", () => {
  const bytes = (side) => PAIRS.flatMap((pair) => [...pair[side], 255]);
  const made = deltaE2000(bytes("first"), bytes("second"));
  assert.equal(made.length, PAIRS.length);
  PAIRS.forEach(({ delta_e }, at) => {
    assert.ok(Math.abs(made[at] - delta_e) < 2e-3, `pair ${at}: ${made[at]} instead of ${delta_e}`);
  });
});

test("white is the lightest, and a grey has no colour", () => {
  const [l, a, b] = labOf([255, 255, 255, 255]);
  assert.ok(Math.abs(l - 100) < 1e-3);
  assert.ok(Math.hypot(a, b) < 0.02);
  assert.ok(Math.abs(labOf([119, 119, 119, 255])[0] - 50) < 0.2);
});

test("a scale is painted between its stops, and stays within its ends", () => {
  const out = new Uint8ClampedArray(4);
  paintLevel(MAGMA, -1, out, 0);
  assert.deepEqual([...out.slice(0, 3)], MAGMA[0]);
  paintLevel(MAGMA, 2, out, 0);
  assert.deepEqual([...out.slice(0, 3)], MAGMA.at(-1));
  paintLevel(
    [
      [0, 0, 0],
      [100, 200, 50],
    ],
    0.5,
    out,
    0,
  );
  assert.deepEqual([...out.slice(0, 3)], [50, 100, 25]);
});
