import assert from "node:assert/strict";
import { test } from "node:test";
import { comfyuiOf, documentOf } from "../../../latentfit/compare/widgets/js/table_editor/exports.js";
import { MapPlane } from "../../../latentfit/compare/widgets/js/table_editor/plane.js";
import { groupsOf, niceLimit } from "../../../latentfit/compare/widgets/js/table_editor/terms.js";

const near = (made, expected) =>
  made.forEach((value, at) => {
    assert.ok(Math.abs(value - expected[at]) < 1e-12, `${at}: ${value}, not ${expected[at]}`);
  });

test("a quadratic of two channels is its sum of monomials", () => {
  const latents = Float64Array.from([0.5, -1, 2, 0.25, 1, 3, -0.5, 0]);
  const plane = new MapPlane(
    {
      n_channels: 2,
      kernels: [1, 1],
      factors: [
        [0, -1],
        [1, -1],
        [0, 1],
        [0, 0],
      ],
    },
    latents,
    [2, 2],
  );
  const rows = Float64Array.from([0.1, 0, 0, 0.2, 0.3, 0, -0.4, 0, 1, 0.5, 0, 0, 0, 0, 0.7]);
  plane.evaluate(rows);
  const [x, y] = [latents.subarray(0, 4), latents.subarray(4)];
  near(
    plane.sums[0],
    [...x].map((x0, i) => 0.1 + 0.2 * x0 - 0.4 * y[i] + 0.5 * x0 * y[i]),
  );
  near(
    plane.sums[1],
    [...x].map((x0) => 0.3 * x0),
  );
  near(
    plane.sums[2],
    [...x].map((x0, i) => y[i] + 0.7 * x0 * x0),
  );
});

test("a neighbour's channel is shifted, its border repeated", () => {
  const latents = Float64Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  const plane = new MapPlane({ n_channels: 1, kernels: [3], factors: [] }, latents, [3, 3]);
  assert.deepEqual([...plane.variable(4)], [...latents]); // the middle
  assert.deepEqual([...plane.variable(0)], [1, 1, 2, 1, 1, 2, 4, 4, 5]); // above, to the left
  assert.deepEqual([...plane.variable(5)], [2, 3, 3, 5, 6, 6, 8, 9, 9]); // to the right
});

test("what is held moves as if all were evaluated anew", () => {
  const latents = Float64Array.from({ length: 12 }, (_, at) => Math.sin(at));
  const form = { n_channels: 3, kernels: [1], factors: [[0], [1], [2]] };
  const rows = Float64Array.from({ length: 12 }, (_, at) => Math.cos(3 * at));
  const held = new MapPlane(form, latents, [2, 2]);
  held.evaluate(rows);
  const move = held.hold(2, 1);
  move(0.75);
  move(-0.25); // counts from where it was taken
  const anew = new MapPlane(form, latents, [2, 2]);
  rows[3 * 2 + 1] -= 0.25;
  anew.evaluate(rows);
  for (const c of [0, 1, 2]) near(held.sums[c], anew.sums[c]);
});

test("signed sums are painted as levels, and measured against cells after they are cut", () => {
  const plane = new MapPlane({ n_channels: 1, kernels: [1], factors: [[0]] }, Float64Array.from([-1, 1, 3, 0]), [2, 2]);
  plane.evaluate(Float64Array.from([0, 0, 0, 1, 0, 0]));
  const rgba = new Uint8ClampedArray(16);
  assert.equal(plane.paint(rgba), null);
  assert.deepEqual(
    [0, 4, 8, 12].map((at) => rgba[at]),
    [0, 255, 255, 128],
  );
  const cells = new Float64Array(12).fill(0.5);
  const [red, green] = plane.paint(rgba, cells);
  assert.ok(Math.abs(red - Math.sqrt((3 * 127.5 ** 2) / 4)) < 1e-9);
  assert.equal(green, 0);
});

test("an edited table claims no fit, and keeps its form", () => {
  const data = {
    name: "t",
    space: "sd1",
    kernels: [1],
    terms: ["1", "x0"],
    document: { name: "t", terms: ["1", "x0"], card: { r2: 1, vae: "v" } },
  };
  const made = documentOf(data, Float64Array.from([0.1, 0.2, 0.3, 1, 2, 3]), true);
  assert.deepEqual(made.card, { vae: "v", edited_from: "t" });
  assert.equal(made.name, "t, edited");
  assert.deepEqual(made.coefficients, [
    [0.100000001, 0.200000003, 0.300000012],
    [1, 2, 3],
  ]);
  assert.deepEqual(data.document.card, { r2: 1, vae: "v" });
});

test("ComfyUI's lines hold the edited numbers", () => {
  const made = comfyuiOf("rows = [\n{rows}\n]\nbias = [{bias}]\n", Float64Array.from([-0.5, 0, 1, 0.25, -2, 3]));
  assert.equal(
    made,
    "rows = [\n    [ 0.2500000, -2.0000000,  3.0000000],\n]\nbias = [-0.5000000,  0.0000000,  1.0000000]\n",
  );
});

test("terms go into groups that open while they are few", () => {
  const groups = groupsOf({
    terms: ["1", "x0", "x0[-1,+0]", "x0*x0"],
    factors: [
      [0, -1],
      [1, -1],
      [0, 0],
    ],
  });
  assert.deepEqual(
    groups.map(({ title, terms, open }) => [title, terms, open]),
    [
      ["constant and channels", [0, 1], true],
      ["neighbours", [2], true],
      ["degree 2", [3], true],
    ],
  );
});

test("a slider's end is a round number beyond the largest", () => {
  assert.equal(niceLimit([0.5, -0.1]), 0.75);
  assert.equal(niceLimit([-3]), 5);
  assert.equal(niceLimit([]), 0.03);
});
