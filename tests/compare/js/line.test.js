import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Line, withBuffers } from "../../../latentfit/compare/widgets/js/line.js";

/** A model of a kernel that hears and says what the test wants. */
function fakeModel() {
  const slots = [];
  const model = {
    sent: [],
    listeners: {},
    send: (message, _, buffers) => model.sent.push({ ...message, buffers }),
    on: (event, listener) => {
      model.listeners[event] = listener;
    },
    widget_manager: {
      kernel: {
        statusChanged: {
          connect: (slot) => slots.push(slot),
          disconnect: (slot) => slots.splice(slots.indexOf(slot), 1),
        },
      },
    },
    status: (word) => {
      for (const slot of [...slots]) slot(null, word);
    },
    slots,
  };
  return model;
}

function opened() {
  const model = fakeModel();
  const said = [];
  const ender = new AbortController();
  const line = new Line(model, (text) => said.push(text), ender.signal);
  return { model, said, line, end: () => ender.abort() };
}

test("while one is on its way, only the newest of its kind waits", () => {
  const { model, line, end } = opened();
  for (let sigma = 0; sigma < 50; sigma++) line.newest("view", { sigma });
  line.newest("look", { position: 1 });
  assert.deepEqual(
    model.sent.map(({ type, sigma }) => [type, sigma]),
    [
      ["view", 0],
      ["look", undefined],
    ],
  );
  line.hear({ type: "heard", seq: model.sent[0].seq });
  assert.equal(model.sent.at(-1).sigma, 49);
  line.hear({ type: "heard", seq: model.sent.at(-1).seq });
  assert.equal(model.sent.length, 3);
  end();
});

test("a question is asked after what still waits, and answered by its number", async () => {
  const { model, line, end } = opened();
  line.newest("look", { position: 1 });
  line.newest("look", { position: 2 });
  const answer = line.question("code", {});
  assert.deepEqual(
    model.sent.map(({ type, position }) => [type, position]),
    [
      ["look", 1],
      ["look", 2],
      ["code", undefined],
    ],
  );
  line.hear({ type: "answer", to: model.sent[2].seq, text: "lf.Workbench()" });
  assert.equal(await answer, "lf.Workbench()");
  end();
});

test("a file goes in parts of two megabytes", () => {
  const { model, line, end } = opened();
  line.file("a.png", new ArrayBuffer((4 << 20) + 1));
  assert.deepEqual(
    model.sent.map(({ part, n_parts, buffers }) => [part, n_parts, buffers[0].byteLength]),
    [
      [0, 3, 2 << 20],
      [1, 3, 2 << 20],
      [2, 3, 1],
    ],
  );
  assert.equal(new Set(model.sent.map(({ id }) => id)).size, 1);
  end();
});

test("a kernel that restarts is said at once, and no more once it answers", () => {
  const { model, said, line, end } = opened();
  model.status("busy");
  assert.deepEqual(said, []);
  model.status("restarting");
  assert.match(said.at(-1), /was restarted.*run the cell again/);
  line.hear({ type: "update" });
  assert.equal(said.at(-1), "");
  end();
  assert.deepEqual(model.slots, []);
});

test("silence is said after five seconds", () => {
  mock.timers.enable({ apis: ["setInterval"] });
  const now = mock.method(performance, "now", () => 0);
  const { said, line, end } = opened();
  line.newest("look", {});
  now.mock.mockImplementation(() => 4000);
  mock.timers.tick(1000);
  assert.deepEqual(said, []);
  now.mock.mockImplementation(() => 6000);
  mock.timers.tick(1000);
  assert.match(said.at(-1), /does not answer/);
  end();
  now.mock.restore();
  mock.timers.reset();
});

test("a line that came back asks anew, the newest alone", () => {
  const { model, line, end } = opened();
  line.newest("view", { sigma: 1 });
  line.newest("view", { sigma: 2 });
  model.listeners.comm_live_status_update();
  assert.deepEqual(
    model.sent.map(({ type, sigma }) => [type, sigma]),
    [
      ["view", 1],
      ["view", 2],
      ["ping", undefined],
    ],
  );
  end();
});

test("binary parts go back where they were", () => {
  const [a, b] = [new DataView(new ArrayBuffer(1)), new DataView(new ArrayBuffer(2))];
  assert.deepEqual(withBuffers({ x: ["$", 1], y: [{ z: ["$", 0] }, 3], w: "$" }, [a, b]), {
    x: b,
    y: [{ z: a }, 3],
    w: "$",
  });
});
