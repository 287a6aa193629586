import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';
import { applyChanges, difference, writeText } from '../src/model/document.js';
import { sameGraph } from '../src/model/equal.js';
import { addNode, connect, moveItems, promote, removeNodes, renameNode, setGroup, setInput, setNotes, setParam, setPoints, updateNode, withEntry } from '../src/model/graph.js';
import { readText } from '../src/model/read.js';

const EXAMPLES = new URL('../../workflows/', import.meta.url);
const HELLO = readFileSync(new URL('hello.yaml', EXAMPLES), 'utf8');

/** The text after an edit, which has to have been patched and not rewritten. */
function edited(text, change) {
  const read = readText(text);
  const written = writeText(read, change(read.graph));
  assert.equal(written.rewritten, false, written.text);
  return written.text;
}

test('an edit of a value changes that value alone', () => {
  const text = edited(HELLO, (graph) => setInput(graph, 'latent', 'cfg', 5.5));
  assert.deepEqual(difference(HELLO, text), { from: HELLO.indexOf('cfg: 4') + 5, to: HELLO.indexOf('cfg: 4') + 6, insert: '5.5' });
});

test('comments, quotes and blank lines stay', () => {
  const text = `# first
nodegraph: 1

nodes:
  # about a
  a:   {uses: X, with: {n: 1}}   # after a

  b:
    uses: "Y"   # the type
    with:
      t: 'it''s'  # a text
      big: 18446744073709551615
# last
`;
  const result = edited(text, (graph) => setInput(setInput(setInput(graph, 'a', 'n', 2), 'b', 't', "he's"), 'b', 'new', '$a'));
  assert.equal(result, text.replace('n: 1', 'n: 2').replace("'it''s'", "'he''s'").replace('big: 18446744073709551615', 'big: 18446744073709551615\n      new: $a'));
});

test('a node is added, renamed and taken out with its comment', () => {
  const text = 'nodes:\n  # the first\n  a: {uses: X}\n  b:\n    uses: Y\n    with: {x: $a, y: "${a}"}\n';
  const added = edited(text, (graph) => addNode(graph, { id: 'c', uses: 'Z', inputs: new Map([['x', '$b']]) }, { x: 10, y: 20 }).graph);
  assert.equal(added, `${text}  c:\n    uses: Z\n    with: {x: $b}\nlayout:\n  c: [10, 20]\n`);
  assert.equal(edited(text, (graph) => renameNode(graph, 'a', 'other')), text.replace('  a:', '  other:').replace('$a', '$other').replace('{a}', '{other}'));
  assert.equal(edited(text, (graph) => removeNodes(graph, new Set(['a']))), 'nodes:\n  b:\n    uses: Y\n    with: {y: "${a}"}\n');
});

test('all nodes can go, and come back', () => {
  const empty = edited(HELLO, (graph) => removeNodes(graph, new Set(graph.nodes.keys())));
  assert.match(empty, /^nodes: \{\}$/m);
  assert.match(edited(empty, (graph) => addNode(graph, { id: 'n', uses: 'X' }, { x: 0, y: 0 }).graph), /nodes:\n {2}n:\n {4}uses: X/);
});

test('texts of several lines become blocks, and go back to one line', () => {
  const long = edited(HELLO, (graph) => setInput(graph, 'negative', 'text', 'one\ntwo\n'));
  assert.equal(readText(long).graph.nodes.get('negative').inputs.get('text'), 'one\ntwo\n');
  const block = edited('nodes:\n  a:\n    uses: X\n    with:\n      text: short\n', (graph) => setInput(graph, 'a', 'text', 'one\ntwo'));
  assert.equal(block, 'nodes:\n  a:\n    uses: X\n    with:\n      text: |-\n        one\n        two\n');
  assert.equal(edited(block, (graph) => setInput(graph, 'a', 'text', 'short')), 'nodes:\n  a:\n    uses: X\n    with:\n      text: short\n');
});

test('seeds keep all their digits', () => {
  const text = edited(HELLO, (graph) => setParam(graph, 'seed', 18446744073709551615n));
  assert.match(text, /seed: 18446744073709551615\n/);
  assert.equal(readText(text).graph.params.get('seed').value, 18446744073709551615n);
});

test('a decimal parameter stays decimal', () => {
  const text = 'params: {strength: 0.5}\nnodes: {}\n';
  assert.equal(edited(text, (graph) => setParam(graph, 'strength', 1)), 'params: {strength: 1.0}\nnodes: {}\n');
});

test('a text that cannot be read says where', () => {
  const { graph, problems } = readText('nodes:\n  a: {uses: X\n');
  assert.equal(graph, null);
  assert.equal(problems[0].line, 3);
  assert.match(readText('a: 1\na: 2\n').problems[0].message, /unique/);
});

// A generator of numbers that are the same on every run.
function dice(seed) {
  let state = seed >>> 0;
  return (limit) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

const VALUES = [0, 1, -2.5, 1e-7, true, false, null, '', 'a red star', 'yes', 'on', '010', '1:30', '- x', 'a: b', 'x #y', '# no', '[a', '{b}', '"q"', "it's", '$$5', '${prompt} and', 'tab\there', 'two\nlines',
  'ends\n', ' space ', 'ünïcödé 星', '\u202e', '\u0085', '@at', '%', '&a', '*b', '!c', '|', '>', '?', 'null', '~', '1e3', '.5', '0x1f', '2026-11-22', '---', '...', '<<', '=', 'a,b', 'C:\\x', 18446744073709551615n,
  [1, 'two', null], ['$a'], [], new Map([['k', 'v'], ['n', [1, 2]]]), 'x'.repeat(200), 'a\n\n b', '\n', 'é:', ':x', '-', '--- a', 'key:', 'a\r\nb', '\ufeffx', 'trail\n\n'];

function randomEdit(graph, roll) {
  const ids = [...graph.nodes.keys()];
  const pick = (list) => list[roll(list.length)];
  const id = pick(ids);
  const value = () => pick(VALUES);
  switch (roll(16)) {
    case 0: return addNode(graph, { id: pick(['new', 'KSampler', '1x']), uses: 'Thing', inputs: new Map(roll(2) ? [['a', value()], ['b', value()]] : []) }, { x: roll(900), y: roll(900) }).graph;
    case 1: return id ? removeNodes(graph, new Set([id, pick(ids)]), roll(2) ? () => true : undefined) : graph;
    case 2: return id ? renameNode(graph, id, `renamed_${roll(20)}`) : graph;
    case 3: case 4: case 5: return id ? setInput(graph, id, pick(['text', 'seed', 'cfg', 'steps', 'extra', 'with space', 'a']), roll(4) ? value() : undefined) : graph;
    case 6: return id ? connect(graph, { from: pick(ids), output: pick([null, 'model', '0']), to: id, input: pick(['model', 'clip', 'x']) }) : graph;
    case 7: return moveItems(graph, [id ?? 'none', 'group:one', 'note:0'], roll(100) - 50, roll(100));
    case 8: return id ? updateNode(graph, id, { title: roll(2) ? null : String(value()), mode: pick(['run', 'muted', 'bypassed']) }) : graph;
    case 9: return id ? updateNode(graph, id, { note: roll(3) ? String(value()) : null }) : graph;
    case 10: return setGroup(graph, pick(['one', 'two: 2', '']), roll(2) ? undefined : { title: pick(['one', 'two: 2']), x: 1, y: 2, width: 300, height: 200, ...(roll(2) ? { colour: '#ff0000' } : {}) });
    case 11: return setNotes(graph, Array.from({ length: roll(3) }, () => ({ text: String(value()), x: 1, y: 2, width: 100, height: 50 })));
    case 12: return id ? setPoints(graph, id, pick(['model', 'clip']), Array.from({ length: roll(3) }, () => ({ x: roll(100), y: roll(100) }))) : graph;
    case 13: return id ? promote(graph, { id, input: 'text', name: 'prompt', type: 'STRING', value: pick(['a', 'b: c', 'two\nlines', '$name']) }).graph : graph;
    case 14: return graph.params.size ? { ...graph, params: withEntry(graph.params, pick([...graph.params.keys()]), undefined) } : graph;
    default: return graph.params.size ? setParam(graph, pick([...graph.params.keys()]), pick(['x', 3, 0.25, 'y # z', '$5 and ${b}', '$$'])) : graph;
  }
}

const TEXTS = [
  ...readdirSync(EXAMPLES).filter((name) => name.endsWith('.yaml')).map((name) => readFileSync(new URL(name, EXAMPLES), 'utf8')),
  'nodegraph: 1\nnodes: {a: {uses: X, with: {text: hi}}, b: {uses: Y, with: {x: $a}}}\n',
  '# only\nnodes:\n    a:   # here\n        with:   # there\n            text: |  # block\n              one\n              two\n\n        uses: X   # type\n\n    # above b\n    b: {uses: Y}\n    c:\n        uses: Z\n        with: {}\nparams:\n  p: 1\n  # inside\n  q: {type: FLOAT, default: 2.0, min: 0}\noutputs: {o: $a}',
  'nodes: {}\n', '', '{}', 'nodes:\nlayout:\n',
  '{"nodegraph": 1, "nodes": {"a": {"uses": "X", "with": {"text": "hi", "n": 3}}, "b": {"uses": "Y"}}, "layout": {"a": [0, 0]}}\n',
  'nodes:\n  a:\n    uses: X\n    with:\n      text: >\n        folded\n        text\n      seed: 7\n    title: "x"\ngroups:\n  one: [0, 0, 10, 10]\nnotes:\n  - {text: hi, at: [0, 0], size: [10, 10]}\nlayout:\n  a: [1, 2]   # first\n  a.text: [[5, 6]]\n',
];

test('any edits are written so that the text reads as the graph, without a rewrite', () => {
  for (let seed = 1; seed <= 400; seed += 1) {
    const roll = dice(seed * 7919);
    let read = readText(TEXTS[seed % TEXTS.length]);
    for (let step = 0; step < 12; step += 1) {
      let graph = read.graph;
      for (let n = roll(3); n >= 0; n -= 1) graph = randomEdit(graph, roll);
      const before = read.text;
      read = writeText(read, graph);
      assert.ok(sameGraph(read.graph, graph), `seed ${seed}\n${before}\n=====\n${read.text}`);
      if (read.rewritten && before.trim() !== '' && before.trim() !== '{}') assert.fail(`seed ${seed} step ${step} was rewritten\n${before}\n=====\n${read.text}`);
    }
  }
});

test('the difference of two texts makes one of the other', () => {
  for (const [a, b] of [['', 'x'], ['aaa', 'aa'], ['abc', 'axc'], ['same', 'same'], ['xyx', 'xyxyx']]) {
    const change = difference(a, b);
    assert.equal(change ? applyChanges(a, [change]) : a, b);
  }
});
