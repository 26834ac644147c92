import assert from "node:assert/strict";
import { test } from "node:test";
import { columnsOf } from "../../../latentfit/compare/widgets/js/pane_grid.js";
import { fitZoom, MOST_ZOOM, middleWithin, nextStop, placeOf } from "../../../latentfit/compare/widgets/js/view.js";

test("zooming in goes by whole screen pixels and ends at 32", () => {
  const stops = [];
  for (let zoom = 1.37; zoom !== undefined; zoom = nextStop(1, zoom, 1.37)) stops.push(zoom);
  assert.deepEqual(stops.slice(0, 4), [1.37, 2, 3, 4]);
  assert.equal(stops.at(-1), 32);
  assert.equal(MOST_ZOOM, 32);
  assert.ok(stops.slice(1).every(Number.isInteger));
});

test("zooming out ends at what fits", () => {
  assert.equal(nextStop(-1, 2, 1.37), 1.37);
  assert.equal(nextStop(-1, 1.37, 1.37), undefined);
  assert.equal(nextStop(-1, 0.5, 0.3), 1 / 3);
});

test("a picture that fits at more than 32 is zoomed no further", () => assert.equal(nextStop(1, 50, 50), undefined));

test("the width is filled, as far as the height allows", () => {
  assert.equal(fitZoom([700, 2000], [512, 512]), 700 / 512);
  assert.equal(fitZoom([700, 600], [512, 512]), 600 / 512);
});

test("whole screen pixels are preferred where they lose next to nothing", () => {
  assert.equal(fitZoom([540, 2000], [512, 512]), 1);
  assert.equal(fitZoom([1030, 2000], [512, 512]), 2);
});

test("shapes that agree to two per cent fill the grid, others stand in its middle", () => {
  assert.deepEqual(placeOf([64, 64], [512, 512]), { x: 0, y: 0, width: 512, height: 512 });
  assert.deepEqual(placeOf([60, 64], [60, 63]), { x: 0, y: 0, width: 60, height: 63 });
  assert.deepEqual(placeOf([32, 64], [512, 512]), { x: 128, y: 0, width: 256, height: 512 });
});

test("the middle stays where no room is left empty", () => {
  assert.equal(middleWithin(0, 100, 400), 0.125);
  assert.equal(middleWithin(0.9, 100, 400), 0.875);
  assert.equal(middleWithin(0.9, 100, 80), 0.5);
});

test("panes of a grid stand so that their pictures are largest", () => {
  assert.equal(columnsOf(6, [1200, 800], 1).columns, 3);
  assert.equal(columnsOf(2, [1200, 800], 1).columns, 2);
  assert.equal(columnsOf(2, [350, 650], 1).columns, 1);
  assert.equal(columnsOf(2, [1200, 800], 1).width, 596); // 8 px apart
  assert.deepEqual(
    [2, 4, 6].map((n) => columnsOf(n, [354, 656], 1, 62).columns),
    [1, 2, 2],
  ); // a phone
  assert.deepEqual(
    [2, 4, 6].map((n) => columnsOf(n, [950, 738], 1, 62).columns),
    [2, 3, 3],
  ); // a notebook
});
