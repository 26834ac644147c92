import assert from "node:assert/strict";
import { test } from "node:test";
import { enlarge } from "../../../latentfit/compare/widgets/js/enlarge.js";

const grey = (levels, width, height) => ({
  data: levels.flatMap((level) => [level, level, level, 255]),
  width,
  height,
});
const reds = (rgba) => [...rgba].filter((_, at) => at % 4 === 0);

test("two pixels become eight along the line between their centres", () => {
  // centres at halves: the first two of eight lie before the first pixel's centre, the last two after the second's
  const expected = [0, 0, 25, 75, 125, 175, 200, 200];
  assert.deepEqual(reds(enlarge(grey([0, 200], 2, 1), 8, 1)), expected);
  assert.deepEqual(reds(enlarge(grey([0, 200], 1, 2), 1, 8)), expected);
});

test("an even picture stays as it is at any size", () => {
  for (const [width, height] of [
    [1, 1],
    [3, 7],
    [40, 2],
  ])
    assert.ok(
      enlarge(grey(new Array(30).fill(77), 6, 5), width, height).every(
        (level, at) => level === (at % 4 === 3 ? 255 : 77),
      ),
    );
});

test("a picture that shrinks is averaged with a triangle twice as wide", () => {
  // to half: a pixel sees four, weighed 1 3 3 1 (of 8), cut at the border to 3 3 1 (of 7)
  const made = reds(enlarge(grey([8, 16, 40, 80, 160, 240], 6, 1), 3, 1));
  const expected = [(3 * 8 + 3 * 16 + 40) / 7, (16 + 3 * 40 + 3 * 80 + 160) / 8, (80 + 3 * 160 + 3 * 240) / 7];
  assert.deepEqual(made, expected.map(Math.round));
});

test("the same size is the same picture", () => {
  const picture = grey([1, 2, 3, 4, 5, 6], 3, 2);
  assert.deepEqual([...enlarge(picture, 3, 2)], picture.data);
});
