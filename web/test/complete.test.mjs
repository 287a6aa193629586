import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LANGUAGES } from '../src/util/i18n.js';
import { NODE_KEYS, PARAM_KEYS, ROOT_KEYS, completeAt } from '../src/panels/yaml/complete.js';

const input = (name, type, more = {}) => ({ name, type, required: false, ...more });
const spec = (name, inputs, outputs, more = {}) => [
  name,
  {
    name,
    display_name: name,
    category: 'test',
    pack: 'builtin',
    version: 1,
    description: `What ${name} does.`,
    output_node: false,
    inputs,
    outputs: outputs.map((type) => ({ name: type, type })),
    ...more,
  },
];
const CATALOGUE = {
  specs: new Map([
    spec(
      'Loader',
      [input('file', 'COMBO', { required: true, choices: ['tiny', 'a: b.safetensors', 'no', '$cheap'] })],
      ['MODEL', 'CLIP'],
    ),
    spec(
      'Encode',
      [input('clip', 'CLIP', { required: true }), input('text', 'STRING', { help: 'what to draw' })],
      ['CONDITIONING'],
    ),
    spec(
      'Sample',
      [
        input('model', 'MODEL', { required: true }),
        input('positive', 'CONDITIONING', { required: true }),
        input('seed', 'INT'),
        input('cfg', 'FLOAT'),
        input('exact', 'BOOLEAN'),
      ],
      ['LATENT'],
    ),
  ]),
  sockets: new Map(),
  broken: [],
};
const node = (id, uses) => [
  id,
  { uid: 1, id, uses, title: null, note: null, mode: 'run', inputs: new Map(), extra: new Map() },
];
const param = (name, type, value) => [name, { name, type, value, long: false }];
const GRAPH = {
  name: null,
  description: '',
  outputs: new Map(),
  places: new Map(),
  points: new Map(),
  groups: new Map(),
  notes: new Map(),
  extra: new Map(),
  params: new Map([param('prompt', 'STRING', 'a star'), param('seed', 'INT', 7)]),
  nodes: new Map([
    node('model', 'Loader'),
    node('positive', 'Encode'),
    node('latent', 'Sample'),
    node('odd', 'Unknown'),
  ]),
};

/** The options at the `|`, and the text after each was taken. */
function complete(marked, asked = true) {
  const pos = marked.indexOf('|');
  const text = marked.replace('|', '');
  const found = completeAt(text, pos, CATALOGUE, GRAPH, asked);
  const taken = (option) => text.slice(0, found.from) + (option.insert ?? option.label) + text.slice(found.to);
  return {
    labels: found?.options.map((option) => option.label) ?? null,
    options: found?.options ?? [],
    take: (label) => taken(found.options.find((option) => option.label === label)),
  };
}

test('keys of the file are offered, but not twice', () => {
  const { labels, take } = complete('nodegraph: 1\npar|\nnodes: {}\n');
  assert.ok(labels.includes('params') && labels.includes('layout'));
  assert.ok(!labels.includes('nodes') && !labels.includes('nodegraph'));
  assert.equal(take('params'), 'nodegraph: 1\nparams:\n  \nnodes: {}\n');
});

test('at the left edge below the last node the file goes on', () => {
  const { labels, take } = complete('nodes:\n  a:\n    uses: Encode\n|\nlayout: {}\n');
  assert.ok(labels.includes('outputs') && !labels.includes('nodes') && !labels.includes('layout'));
  assert.equal(take('name'), 'nodes:\n  a:\n    uses: Encode\nname: \nlayout: {}\n');
});

test('in the midst of many nodes a place is understood as in a file of one', () => {
  const other = (number) => `  n${number}: # ${number}\n    uses: Encode\n    with:\n      text: ${number}\n\n`;
  const before = `nodegraph: 1\nnodes:\n${Array.from({ length: 300 }, (_, number) => other(number)).join('')}`;
  const { labels, take } = complete(`${before}  latent:\n    uses: Sample\n    with: {se|, cfg: 1}\n${other(999)}`);
  assert.deepEqual(labels, ['model', 'positive', 'seed', 'exact']);
  assert.equal(take('seed'), `${before}  latent:\n    uses: Sample\n    with: {seed: , cfg: 1}\n${other(999)}`);
});

test('keys of a node are offered, but not twice, and its mappings begin a line', () => {
  const { labels, take } = complete('nodes:\n  a:\n    uses: Encode\n    w|\n  b:\n    title: x\n');
  assert.ok(labels.includes('title') && labels.includes('with') && !labels.includes('uses'));
  assert.equal(take('with'), 'nodes:\n  a:\n    uses: Encode\n    with:\n      \n  b:\n    title: x\n');
});

test('node types stand after uses, with what they do', () => {
  const { options, take } = complete('nodes:\n  a:\n    uses: En|\n');
  const found = options.find((option) => option.label === 'Encode');
  assert.equal(found.help, 'What Encode does.');
  assert.equal(take('Encode'), 'nodes:\n  a:\n    uses: Encode\n');
});

test('inputs stand below with, those of the type that the text names now, needed ones first', () => {
  const { options, take } = complete('nodes:\n  latent:\n    uses: Encode\n    with:\n      |\n');
  assert.deepEqual(
    options.map((option) => option.label),
    ['clip', 'text'],
  );
  assert.ok(options[0].boost > options[1].boost);
  assert.equal(options[1].help, 'what to draw');
  assert.equal(take('text'), 'nodes:\n  latent:\n    uses: Encode\n    with:\n      text: \n');
});

test('inputs that are given are not offered, in either style', () => {
  assert.deepEqual(complete('nodes:\n  latent:\n    with:\n      seed: 1\n      |\n      cfg: 2\n').labels, [
    'model',
    'positive',
    'exact',
  ]);
  assert.deepEqual(complete('nodes:\n  latent:\n    with: {seed: 1, |, cfg: 2}\n').labels, [
    'model',
    'positive',
    'exact',
  ]);
  assert.deepEqual(complete('nodes:\n  latent: {uses: Encode, with: {|}}\n').labels, ['clip', 'text']);
});

test('a key that has its colon is only named anew', () => {
  assert.equal(
    complete('nodes:\n  latent:\n    with: {mo|d: 1}\n').take('model'),
    'nodes:\n  latent:\n    with: {model: 1}\n',
  );
});

test('choices are written as they have to be', () => {
  const { labels, take } = complete('nodes:\n  model:\n    with: {file: |}\n');
  assert.deepEqual(labels, ['tiny', 'a: b.safetensors', 'no', '$cheap', '$prompt', '$seed']);
  assert.equal(take('tiny'), 'nodes:\n  model:\n    with: {file: tiny}\n');
  assert.equal(take('a: b.safetensors'), 'nodes:\n  model:\n    with: {file: "a: b.safetensors"}\n');
  assert.equal(take('no'), 'nodes:\n  model:\n    with: {file: "no"}\n');
  assert.equal(take('$cheap'), 'nodes:\n  model:\n    with: {file: $$cheap}\n');
});

test('references are to outputs that fit, by name where there are several', () => {
  assert.deepEqual(complete('nodes:\n  positive:\n    with: {clip: $|}\n').labels, ['$model.clip']);
  assert.deepEqual(complete('nodes:\n  latent:\n    with:\n      positive: |\n').labels, ['$positive']);
  assert.equal(
    complete('nodes:\n  latent:\n    with: {model: $model.m|, cfg: 1}').take('$model.model'),
    'nodes:\n  latent:\n    with: {model: $model.model, cfg: 1}',
  );
});

test('parameters are offered where their type fits', () => {
  assert.deepEqual(complete('nodes:\n  latent:\n    with: {seed: $|}\n').labels, ['$seed']);
  assert.deepEqual(complete('nodes:\n  latent:\n    with: {cfg: $|}\n').labels, ['$seed']);
  assert.deepEqual(complete('nodes:\n  positive:\n    with: {text: $|}\n').labels, ['$prompt']);
});

test('an output of the file may be any output', () => {
  assert.deepEqual(complete('outputs:\n  picture: $|\n').labels, [
    '$model.model',
    '$model.clip',
    '$positive',
    '$latent',
  ]);
});

test('inside a text parameters are offered behind the brace', () => {
  const { labels, take } = complete('nodes:\n  positive:\n    with: {text: "a ${pro|"}\n');
  assert.deepEqual(labels, ['prompt', 'seed']);
  assert.equal(take('prompt'), 'nodes:\n  positive:\n    with: {text: "a ${prompt}"}\n');
  assert.equal(
    complete('nodes:\n  positive:\n    with: {text: "a ${|}"}\n').take('seed'),
    'nodes:\n  positive:\n    with: {text: "a ${seed}"}\n',
  );
  assert.equal(complete('nodes:\n  positive:\n    with: {text: "a |"}\n').labels, null);
});

test('nothing is in the way of somebody who writes a text, a number or a comment', () => {
  assert.equal(complete('nodes:\n  positive:\n    with: {text: a st|}\n', false).labels, null);
  assert.equal(complete('nodes:\n  latent:\n    with: {seed: 1|}\n', false).labels, null);
  assert.equal(complete('nodes:\n  latent:\n    # wi|\n', false).labels, null);
  assert.equal(complete('nodes:\n  latent:\n    |\n', false).labels, null);
  assert.deepEqual(complete('nodes:\n  latent:\n    with: {exact: |}\n', false).labels.slice(0, 2), ['true', 'false']);
});

test('every key of the format is explained, in every language', () => {
  const owners = Object.entries({ root: ROOT_KEYS, node: NODE_KEYS, param: PARAM_KEYS });
  const keys = owners.flatMap(([owner, names]) => names.map((name) => `yaml.help.${owner}.${name}`));
  for (const [code, words] of Object.entries(LANGUAGES)) {
    for (const key of keys) assert.ok(words[key], `${code}: ${key}`);
  }
});
