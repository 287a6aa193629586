import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { copyText, paste, readFragment } from '../src/model/clipboard.js';
import { sameGraph } from '../src/model/equal.js';
import { addNode, connect, moveItems, removeNodes, renameNode, setInput, setParam } from '../src/model/graph.js';
import { Session } from '../src/model/session.js';

const HELLO = readFileSync(new URL('../../workflows/hello.yaml', import.meta.url), 'utf8');

/** A clock that a test moves. */
function clock() {
  let time = 0;
  let waiting = [];
  return {
    now: () => time,
    later(run, milliseconds) {
      const row = { at: time + milliseconds, run };
      waiting.push(row);
      return () => { waiting = waiting.filter((other) => other !== row); };
    },
    pass(milliseconds) {
      time += milliseconds;
      const due = waiting.filter(({ at }) => at <= time);
      waiting = waiting.filter(({ at }) => at > time);
      for (const { run } of due) run();
    },
  };
}

function opened(text = HELLO) {
  const time = clock();
  return { time, session: new Session(text, { clock: time }) };
}

function dice(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

test('the text follows the graph after a pause, and the graph the text', () => {
  const { session, time } = opened();
  session.edit('edit', (graph) => setInput(graph, 'latent', 'steps', 8));
  assert.equal(session.text.get(), HELLO);
  time.pass(300);
  assert.equal(session.text.get(), HELLO.replace('steps: 20', 'steps: 8'));
  session.editText(HELLO.replace('cfg: 4', 'cfg: 6'));
  time.pass(300);
  assert.equal(session.graph.get().nodes.get('latent').inputs.get('cfg'), 6);
});

test('while something is dragged the text waits', () => {
  const { session, time } = opened();
  const release = session.hold();
  const start = session.graph.get();
  for (let step = 1; step <= 40; step += 1) {
    session.edit('edit.move', () => moveItems(start, ['model'], step, 0), { merge: 'drag' });
    time.pass(50);
    assert.equal(session.text.get(), HELLO);
  }
  release();
  time.pass(300);
  assert.match(session.text.get(), /model: \[40, 80\]/);
  assert.equal(session.undo(), 'edit.move');
  assert.equal(session.text.get(), HELLO);
});

test('a text with a mistake keeps the last good graph, and no edit of the canvas gets lost in it', () => {
  const { session, time } = opened();
  const before = session.graph.get();
  session.editText(`${HELLO}\n  bad: [`);
  time.pass(300);
  assert.equal(session.graph.get(), before);
  assert.notEqual(session.textProblems.get().length, 0);
  assert.equal(session.edit('edit', (graph) => setInput(graph, 'latent', 'steps', 8)), false);
  session.undo();
  assert.equal(session.text.get(), HELLO);
  assert.equal(session.editable, true);
});

test('typing that cannot be read is undone a piece at a time, and comes back', () => {
  const { session, time } = opened();
  const type = (text) => {
    session.editText(text);
    time.pass(2000);
  };
  const good = HELLO.replace('cfg: 4', 'cfg: 6');
  const [half, more] = [good.replace('cfg: 6', 'cfg: {'), good.replace('cfg: 6', 'cfg: {a: [')];
  for (const text of [good, half, more]) type(text);
  const graph = session.graph.get();
  const states = [];
  for (let step = 0; step < 3; step += 1) {
    session.undo();
    states.push([session.text.get(), session.editable]);
  }
  assert.deepEqual(states, [[half, false], [good, true], [HELLO, true]]);
  for (let step = 0; step < 3; step += 1) session.redo();
  assert.deepEqual([session.text.get(), session.editable, session.graph.get()], [more, false, graph]);
  type(HELLO);
  assert.ok(session.editable);
});

test('typing keeps nodes what they are, and comments alone are no step of the graph', () => {
  const { session, time } = opened();
  const node = session.graph.get().nodes.get('latent');
  session.editText(`# more\n${HELLO}`);
  time.pass(300);
  assert.equal(session.graph.get().nodes.get('latent'), node);
});

test('after all steps back the text is the same to the byte, and forward again too', () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const roll = dice(seed * 104729);
    const text = seed % 2 ? HELLO : HELLO.replaceAll('uses: ', 'uses:   ').replace('\nlayout', '\n# odd  \nlayout');
    const { session, time } = opened(text);
    const edits = [
      (graph) => addNode(graph, { id: 'n', uses: 'KSampler' }, { x: roll(100), y: 0 }).graph,
      (graph) => removeNodes(graph, new Set([[...graph.nodes.keys()][roll(graph.nodes.size)]]), () => roll(2) === 1),
      (graph) => setInput(graph, 'latent', 'seed', roll(1000)),
      (graph) => renameNode(graph, [...graph.nodes.keys()][roll(graph.nodes.size)], `r${roll(9)}`),
      (graph) => setParam(graph, 'prompt', `words ${roll(99)}: # $$`),
      (graph) => connect(graph, { from: 'model', output: 'clip', to: 'negative', input: 'clip' }),
      (graph) => moveItems(graph, graph.nodes.keys(), roll(50), roll(50)),
      (graph) => paste(graph, readFragment(copyText(graph, [...graph.nodes.keys()].slice(0, 3))) ?? graph, { dx: 5, dy: 5, keepLinks: true }).graph,
    ];
    for (let step = 0; step < 20; step += 1) {
      if (roll(6) === 0) session.editText(`${session.text.get()}# ${step}\n`);
      else session.edit('edit', edits[roll(edits.length)]);
      if (roll(2)) time.pass(400);
    }
    session.flush();
    const [last, graph] = [session.text.get(), session.graph.get()];
    while (session.undo() !== null);
    assert.equal(session.text.get(), text);
    while (session.redo() !== null);
    session.flush();
    assert.equal(session.text.get(), last, `seed ${seed}`);
    assert.ok(sameGraph(session.graph.get(), graph));
  }
});

test('what is pasted links within itself, and outside only when asked', () => {
  const { session } = opened();
  const graph = session.graph.get();
  const part = readFragment(copyText(graph, ['latent', 'picture']));
  const loose = paste(graph, part, { dx: 10, dy: 10 });
  assert.deepEqual([...loose.items], ['latent_2', 'picture_2']);
  assert.equal(loose.graph.nodes.get('picture_2').inputs.get('samples'), '$latent_2');
  assert.equal(loose.graph.nodes.get('latent_2').inputs.has('model'), false);
  assert.equal(loose.graph.nodes.get('latent_2').inputs.get('seed'), '$seed');
  const linked = paste(graph, part, { dx: 10, dy: 10, keepLinks: true });
  assert.equal(linked.graph.nodes.get('latent_2').inputs.get('model'), '$model.model');
});

test('a part that is pasted into another file brings the values of its parameters', () => {
  const part = readFragment(copyText(opened().session.graph.get(), ['latent', 'positive']));
  const { graph } = paste(new Session('nodes: {}').graph.get(), part, { dx: 0, dy: 0 });
  assert.equal(graph.nodes.get('latent').inputs.get('seed'), 7);
  assert.equal(graph.nodes.get('positive').inputs.get('text'), 'a red star at night under the stars');
});

test('what lay on both sides of a node that goes is joined', () => {
  const text = 'nodes:\n  a: {uses: L}\n  b: {uses: Lora, with: {model: $a.model}}\n  c: {uses: K, with: {model: $b.model}}\n';
  const { session } = opened(text);
  session.edit('edit', (graph) => removeNodes(graph, new Set(['b']), () => true));
  session.flush();
  assert.equal(session.text.get(), 'nodes:\n  a: {uses: L}\n  c: {uses: K, with: {model: $a.model}}\n');
});
