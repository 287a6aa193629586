import assert from 'node:assert/strict';
import { test } from 'node:test';

import { readText } from '../src/model/read.js';
import { nodeAt, nodeRange } from '../src/panels/yaml/nodes.js';
import { indentAfter, usesAt, whereAt } from '../src/panels/yaml/where.js';

/** Where the `|` in a text is. A `|` of YAML is written as `¦`. */
function where(marked) {
  const pos = marked.indexOf('|');
  const text = marked.replace('|', '').replaceAll('¦', '|');
  return { text, pos, ...whereAt(text, pos) };
}

/** @type {[string, 'key' | 'value' | 'text' | 'comment', string[], string][]} */
const PLACES = [
  ['|', 'key', [], ''],
  ['nodegraph: 1\nno|', 'key', [], 'no'],
  ['nodegraph: 1\n|\nnodes:\n  a:\n', 'key', [], ''],
  ['nodes:\n  a:\n    |', 'key', ['nodes', 'a'], ''],
  ['nodes:\n  a:\n    us|', 'key', ['nodes', 'a'], 'us'],
  ['nodes:\n  a:\n    uses: |', 'value', ['nodes', 'a', 'uses'], ''],
  ['nodes:\n  a:\n    uses: CLIP|Text', 'value', ['nodes', 'a', 'uses'], 'CLIP'],
  ['nodes:\n  a:\n    uses: X\n    with:\n      |', 'key', ['nodes', 'a', 'with'], ''],
  [
    'nodes:\n  a:\n    uses: X\n    with:\n      seed: |\n      steps: 3\n',
    'value',
    ['nodes', 'a', 'with', 'seed'],
    '',
  ],
  ['nodes:\n  a:\n    with:\n      seed: 1\n    |', 'key', ['nodes', 'a'], ''],
  ['nodes:\n  a:\n    with:\n      seed: 1\n  |', 'key', ['nodes'], ''],
  ['nodes:\n  a:\n    with: {|}', 'key', ['nodes', 'a', 'with'], ''],
  ['nodes:\n  a:\n    with: {clip: $mo|, text: ""}', 'value', ['nodes', 'a', 'with', 'clip'], '$mo'],
  ['nodes:\n  a:\n    with: {clip: $model.c|', 'value', ['nodes', 'a', 'with', 'clip'], '$model.c'],
  ['nodes:\n  a:\n    with: {clip: $model, te|', 'key', ['nodes', 'a', 'with'], 'te'],
  ['nodes:\n  a:\n    with: {clip: [$a, $b|', 'value', ['nodes', 'a', 'with', 'clip', '[]'], '$b'],
  ['nodes:\n  a:\n    with: {clip: [$a, $b], te|', 'key', ['nodes', 'a', 'with'], 'te'],
  ['nodes:\n  a: {uses: X, with: {se|', 'key', ['nodes', 'a', 'with'], 'se'],
  ['nodes:\n  a: {uses: X, with: {seed: 1}, |', 'key', ['nodes', 'a'], ''],
  ['nodes:\n  a:\n    with: {\n      clip: $a,\n      te|', 'key', ['nodes', 'a', 'with'], 'te'],
  ['nodes:\n  a:\n    with: {\n  clip: $a,\n  text: {x: 1}, b: $|\n}', 'value', ['nodes', 'a', 'with', 'b'], '$'],
  ['nodes:\n  a:\n    with:\n      images:\n        - $|', 'value', ['nodes', 'a', 'with', 'images', '[]'], '$'],
  ['nodes:\n  a:\n    with:\n      images:\n      - $|', 'value', ['nodes', 'a', 'with', 'images', '[]'], '$'],
  ['nodes:\n  a:\n    with:\n      text: ¦\n        a: b\n        ${|', 'text', ['nodes', 'a', 'with', 'text'], ''],
  ['nodes:\n  a:\n    with:\n      text: "a ${pro|', 'text', ['nodes', 'a', 'with', 'text'], 'pro'],
  ['nodes:\n  a:\n    with: {text: "a, {b: ${|", x: 1}', 'text', ['nodes', 'a', 'with', 'text'], ''],
  ["nodes:\n  a:\n    with: {text: 'it''s, {', x: |}", 'value', ['nodes', 'a', 'with', 'x'], ''],
  ['nodes:\n  a:\n    # with: {se|', 'comment', ['nodes', 'a'], 'se'],
  ['nodes:\n  a:\n    uses: X # a |', 'comment', ['nodes', 'a', 'uses'], ''],
  ['nodes:\n\n  # first\n  a:\n\n    # what\n    u|', 'key', ['nodes', 'a'], 'u'],
  ['params:\n  colour: {type: |', 'value', ['params', 'colour', 'type'], ''],
  ['outputs:\n  image: $|', 'value', ['outputs', 'image'], '$'],
  ['notes:\n  - text: hello\n    a|', 'key', ['notes', '[]'], 'a'],
  ['nodes:\n  "a b":\n    u|', 'key', ['nodes', 'a b'], 'u'],
  ['nodes:\n  a-b:\n    with:\n      text: a {b, c|', 'value', ['nodes', 'a-b', 'with', 'text'], 'c'],
];

for (const [marked, at, path, typed] of PLACES) {
  test(`in ${JSON.stringify(marked)} it is a ${at} of ${path.join('.') || 'the file'}`, () => {
    const found = where(marked);
    assert.deepEqual([found.at, found.path, found.typed], [at, path, typed]);
  });
}

test('the word goes on behind the place', () => {
  const { text, from, to } = where('nodes:\n  a:\n    with: {clip: $mod|el.clip, text: ""}');
  assert.equal(text.slice(from, to), '$model.clip');
});

test('a node’s type is read where it is written, in either style', () => {
  const text =
    'nodes:\n  a:\n    with:\n      seed: 1\n    uses: KSampler # yes\n  b: {uses: "VAEDecode", with: {x: 1}}\n  c:\n    with: {}\nlayout: {}\n';
  assert.equal(usesAt(text, text.indexOf('seed')), 'KSampler');
  assert.equal(usesAt(text, text.indexOf('x: 1')), 'VAEDecode');
  assert.equal(usesAt(text, text.indexOf('{}')), null);
  assert.equal(usesAt('nodes:\n  a:\n    uses: ', 20), null);
});

test('a new line is indented like the last, and further below a key', () => {
  const lines = {
    '': 0,
    'nodes:': 2,
    '  a:   # first': 4,
    '    uses: X': 4,
    '    with: {clip: $model.clip, text: "a:"}': 4,
    '      text: |': 8,
    '        a: b, c': 8,
    '    - text: hello': 6,
    '    - one': 4,
    '  # nodes:': 2,
  };
  for (const [line, indent] of Object.entries(lines)) assert.equal(indentAfter(line, 2), indent, line);
});

test('no place in any beginning of a file is too much for it', () => {
  const text = 'a: {b: [c, "d", {e: \'f\n g: |\n  - - x: }]\n\t- "\nnodes:\n  - a: - b\n ? c\n: d\n&x *y !z\n';
  for (let end = 0; end <= text.length; end += 1) {
    for (let pos = 0; pos <= end; pos += 1) {
      const found = whereAt(text.slice(0, end), pos);
      assert.ok(found.from <= pos && pos <= found.to);
      usesAt(text.slice(0, end), pos);
    }
  }
});

test('a node is found at its lines, whether they were read or are only looked through', () => {
  const text =
    'nodes: # all\n  a:\n    uses: X\n    with:\n      text: |\n        b:\n  # between\n\n  "b c":  \n    uses: Y\n  d: {uses: Z}\nlayout:\n  a: [0, 0]\n';
  for (const index of [readText(text).index, null]) {
    const found = (id) => {
      const range = nodeRange(text, index, id);
      return range && text.slice(range.from, range.to).trimEnd();
    };
    assert.equal(found('a'), 'a:\n    uses: X\n    with:\n      text: |\n        b:');
    assert.equal(found('b c'), '"b c":  \n    uses: Y');
    assert.equal(found('d'), 'd: {uses: Z}');
    assert.equal(found('layout'), null);
    for (const [word, id] of [
      ['uses: X', 'a'],
      ['uses: Y', 'b c'],
      ['uses: Z', 'd'],
      ['[0, 0]', null],
      ['# all', null],
    ]) {
      assert.equal(nodeAt(text, text.indexOf(word), index), id, word);
    }
  }
});
