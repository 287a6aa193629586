import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { EMPTY_CATALOGUE } from '../src/model/catalogue.js';
import { extractPart, isPart, partName, partSpec } from '../src/model/parts.js';
import { writeGraph } from '../src/model/patch.js';
import { readText } from '../src/model/read.js';

const HELLO = readFileSync(new URL('../../workflows/hello.yaml', import.meta.url), 'utf8');
const spec = (name, inputs, outputs) => [name, {
  name, display_name: name, category: '', pack: '', version: 1, description: '', output_node: false,
  inputs: inputs.map(([input, type]) => ({ name: input, type, required: true })), outputs: outputs.map(([output, type]) => ({ name: output, type })),
}];
const CATALOGUE = {
  ...EMPTY_CATALOGUE,
  specs: new Map([
    spec('CheckpointLoaderSimple', [['ckpt_name', 'COMBO']], [['MODEL', 'MODEL'], ['CLIP', 'CLIP'], ['VAE', 'VAE']]),
    spec('CLIPTextEncode', [['clip', 'CLIP'], ['text', 'STRING']], [['CONDITIONING', 'CONDITIONING']]),
  ]),
};

test('a path is a name beside the file that names it, and leads nowhere else', () => {
  assert.equal(partName('a/b.yaml', './c.yaml'), 'a/c.yaml');
  assert.equal(partName('a/b.yaml', '../c.yaml'), 'c.yaml');
  assert.equal(partName('b.yaml', '../c.yaml'), null);
  assert.equal(isPart('./c.yaml'), true);
  assert.equal(isPart('KSampler'), false);
});

test('nodes become a file with parameters and outputs, and one node that uses it', () => {
  const { graph } = readText(HELLO);
  const made = extractPart(graph, new Set(['positive', 'negative']), CATALOGUE, { name: 'prompts', uses: './prompts.yaml' });
  const text = writeGraph(made.part);
  const part = readText(text).graph;
  assert.deepEqual([...part.params.keys()], ['clip', 'prompt']);
  assert.equal(part.params.get('clip').type, 'ANY');
  assert.equal(part.params.get('prompt').value, 'a red star at night under the stars');
  assert.deepEqual([...part.outputs], [['positive', '$positive'], ['negative', '$negative']]);
  assert.equal(part.nodes.get('positive').inputs.get('clip'), '$clip');
  const node = made.graph.nodes.get('prompts');
  assert.deepEqual([...node.inputs], [['clip', '$model.clip'], ['prompt', '$prompt']]);
  assert.equal(made.graph.nodes.get('latent').inputs.get('positive'), '$prompts.positive');
  assert.equal(made.graph.nodes.has('positive'), false);
});

test('the file looks like a node with the types that its inputs and outputs have inside', () => {
  const { graph } = readText(HELLO);
  const { part } = extractPart(graph, new Set(['positive']), CATALOGUE, { name: 'prompts', uses: './prompts.yaml' });
  const type = partSpec('./prompts.yaml', part, CATALOGUE);
  assert.deepEqual(type.inputs.map(({ name, type: kind, required, widget }) => [name, kind, required, widget]), [['clip', 'CLIP', true, false], ['prompt', 'STRING', false, true]]);
  assert.deepEqual(type.outputs.map(({ name, type: kind }) => [name, kind]), [['positive', 'CONDITIONING']]);
});
