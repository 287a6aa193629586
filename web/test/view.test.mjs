import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EMPTY_CATALOGUE, readCatalogue } from '../src/model/catalogue.js';
import { readText } from '../src/model/read.js';
import { arrange, autoPlace } from '../src/util/layout.js';
import { centre, fit, panBy, shownBy, toCanvas, zoomAt } from '../src/view/camera.js';
import { along, middle, nearest } from '../src/view/curve.js';
import { layoutNode } from '../src/view/geometry.js';
import { hitAt, socketPoint } from '../src/view/hit.js';
import { beginLink, fits, fittingSockets, joining } from '../src/view/linking.js';
import { Scene } from '../src/view/scene.js';

const spec = (name, inputs, outputs) => ({
  name, display_name: name, category: '', pack: '', version: 1, description: '', output_node: false,
  inputs: inputs.map(([input, type]) => ({ name: input, type, required: true })), outputs: outputs.map((type) => ({ name: type, type })),
});
const CATALOGUE = readCatalogue({
  nodes: {
    Load: spec('Load', [['file', 'STRING']], ['MODEL', 'CLIP']),
    Text: spec('Text', [['clip', 'CLIP'], ['text', 'STRING']], ['COND']),
    Sample: spec('Sample', [['model', 'MODEL'], ['positive', 'COND'], ['negative', 'COND'], ['latent', 'LATENT'], ['steps', 'INT']], ['LATENT']),
    Save: spec('Save', [['any', '*']], []),
  },
  sockets: {},
});
const TEXT = `nodes:
  save: {uses: Save, with: {any: $sample}}
  sample: {uses: Sample, with: {model: $load.model, positive: $yes, negative: $no}}
  no: {uses: Text, with: {clip: $load.clip}}
  yes: {uses: Text, with: {clip: $load.clip}}
  load: {uses: Load}
  alone: {uses: Save}
`;

function boxes(graph, catalogue = CATALOGUE) {
  return [...graph.nodes.values()].map((node) => {
    const place = graph.places.get(node.id);
    const { width, height } = layoutNode(catalogue.specs.get(node.uses) ?? spec(node.uses, [], []), node, place);
    return { id: node.id, ...place, width, height };
  });
}

function overlapping(all) {
  return all.flatMap((a, i) => all.slice(i + 1).filter((b) => a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height).map((b) => `${a.id} ${b.id}`));
}

function followsLinks(graph) {
  const at = (id) => graph.places.get(id).x;
  return at('load') < at('yes') && at('yes') < at('sample') && at('no') < at('sample') && at('sample') < at('save');
}

test('nodes without a place stand right of what they take from, and over nobody', () => {
  const placed = autoPlace(readText(TEXT).graph, CATALOGUE);
  assert.deepEqual(overlapping(boxes(placed)), []);
  assert.ok(followsLinks(placed));
  assert.ok([...placed.places.values()].every(({ auto }) => auto));
  assert.equal(autoPlace(placed, CATALOGUE), placed);
});

test('what has a place keeps it, and the rest comes below', () => {
  const graph = readText(`${TEXT}layout: {load: [500, 40], save: [900, 40]}\n`).graph;
  const placed = autoPlace(graph, CATALOGUE);
  assert.equal(placed.places.get('load'), graph.places.get('load'));
  assert.deepEqual(overlapping(boxes(placed)), []);
  assert.ok(placed.places.get('sample').y > 40);
});

test('rings and unknown types can be placed too', () => {
  const graph = readText('nodes:\n  a: {uses: X, with: {i: $b}}\n  b: {uses: X, with: {i: $a}}\n  c: {uses: X, with: {i: $c}}\n').graph;
  assert.equal(autoPlace(graph, EMPTY_CATALOGUE).places.size, 3);
});

test('a thousand nodes are placed at once', () => {
  const lines = Array.from({ length: 1000 }, (_, i) => `  n${i}: {uses: Text, with: {clip: ${i % 50 ? `$n${i - 1}` : 'none'}}}`);
  const placed = autoPlace(readText(`nodes:\n${lines.join('\n')}\n`).graph, CATALOGUE);
  assert.equal(placed.places.size, 1000);
  assert.deepEqual(overlapping(boxes(placed)), []);
});

test('a layout orders by port, keeps its corner, leaves pinned nodes and takes points away', async () => {
  const graph = readText(`${TEXT}layout: {load: [0, 0], yes: [0, 0], no: [0, 0], sample: [0, 0], save: [0, 0], alone: {at: [7, 7], pinned: true}, sample.model: [[1, 2]]}\n`).graph;
  const arranged = await arrange(graph, CATALOGUE);
  assert.ok(followsLinks(arranged));
  assert.ok(arranged.places.get('yes').y < arranged.places.get('no').y, 'positive is the upper input');
  assert.deepEqual([arranged.places.get('alone').x, arranged.places.get('alone').y], [7, 7]);
  assert.equal(arranged.points.size, 0);
  assert.deepEqual(overlapping(boxes(arranged).filter(({ id }) => id !== 'alone')), []);
  const some = await arrange(arranged, CATALOGUE, ['yes', 'no']);
  assert.equal(some.places.get('sample'), arranged.places.get('sample'));
});

test('a zoom keeps the point under the pointer, a fit shows everything', () => {
  const camera = { x: -30, y: 12, scale: 0.7 };
  const zoomed = zoomAt(camera, 2.3, 400, 300);
  for (const key of ['x', 'y']) assert.ok(Math.abs(toCanvas(camera, 400, 300)[key] - toCanvas(zoomed, 400, 300)[key]) < 1e-9);
  assert.equal(zoomAt(camera, 99, 0, 0).scale, 4);
  assert.equal(zoomAt(camera, 0.0001, 0, 0).scale, 0.05);
  assert.deepEqual(panBy(camera, 7, -7), { x: -40, y: 22, scale: 0.7 });
  const stage = { width: 800, height: 600 };
  const view = shownBy(fit({ x: -500, y: 900, width: 4000, height: 100 }, stage), stage);
  assert.ok(view.x <= -500 && view.x + view.width >= 3500 && view.y <= 900 && view.y + view.height >= 1000);
  assert.deepEqual(centre({ x: 400, y: 300 }, stage, 1), { x: 0, y: 0, scale: 1 });
});

test('links are found where they are drawn', () => {
  for (const form of ['curved', 'straight']) {
    const stops = [{ x: 0, y: 0 }, { x: 300, y: 200 }, { x: 100, y: 400 }];
    const on = along(stops[0], stops[1], 0.3, form);
    assert.ok(nearest(stops, form, on).distance < 3);
    assert.equal(nearest(stops, form, on).after, 0);
    assert.equal(nearest(stops, form, along(stops[1], stops[2], 0.6, form)).after, 1);
    assert.ok(nearest(stops, form, { x: 500, y: -300 }).distance > 100);
    assert.deepEqual(middle(stops, form), stops[1]);
  }
});

function sceneOf(text) {
  const scene = new Scene();
  scene.update(autoPlace(readText(text).graph, CATALOGUE), CATALOGUE, new Set());
  return scene;
}

test('what lies under a point is the socket, the node, the link, the group, or nothing', () => {
  const scene = sceneOf(`${TEXT}layout: {load: [0, 0], yes: [600, 0]}\ngroups: {G: [-50, -60, 400, 300]}\n`);
  const kind = (x, y) => hitAt(scene, { x, y }, { slack: 7, form: 'curved' }).kind;
  const load = scene.boxes.get('load');
  const out = socketPoint(load, { side: 'output', index: 1 });
  assert.equal(kind(out.x + 4, out.y), 'output');
  assert.equal(kind(100, 10), 'title');
  assert.equal(kind(100, load.height - 20), 'body');
  assert.equal(kind(load.width - 4, load.height - 4), 'corner');
  const into = socketPoint(scene.boxes.get('yes'), { side: 'input', input: 'clip' });
  assert.equal(kind((out.x + into.x) / 2, (out.y + into.y) / 2), 'link');
  assert.equal(kind(0, -45), 'group');
  assert.equal(kind(0, 200), 'empty');
  scene.boxes.get('yes').x = 100;
  scene.raise('yes');
  assert.equal(hitAt(scene, { x: 150, y: 10 }, { slack: 7, form: 'curved' }).box.id, 'yes');
});

test('a link begins at a socket, fits by type, closes no ring, and is picked up at its input', () => {
  const scene = sceneOf(TEXT);
  const linking = beginLink(scene, { side: 'output', node: 'yes', index: 0 }, { x: 0, y: 0 });
  const sample = scene.boxes.get('sample');
  assert.ok(fits(linking, sample, { side: 'input', node: 'sample', input: 'negative' }));
  assert.ok(!fits(linking, sample, { side: 'input', node: 'sample', input: 'model' }));
  assert.ok(!fits(linking, sample, { side: 'output', node: 'sample', index: 0 }));
  assert.deepEqual(fittingSockets(linking, sample).map(({ input }) => input), ['positive', 'negative']);
  const back = beginLink(scene, { side: 'output', node: 'sample', index: 0 }, { x: 0, y: 0 });
  assert.deepEqual([...back.barred].sort(), ['load', 'no', 'sample', 'yes']);
  const lifted = beginLink(scene, { side: 'input', node: 'sample', input: 'positive' }, { x: 0, y: 0 });
  assert.deepEqual(lifted.origin, { side: 'output', node: 'yes', index: 0 });
  assert.deepEqual(lifted.lifted, { node: 'sample', input: 'positive' });
  const join = joining(scene, { side: 'output', node: 'load', index: 0 }, { side: 'input', node: 'sample', input: 'model' });
  assert.equal(join(scene.graph).nodes.get('sample').inputs.get('model'), '$load.model');
});

test('the scene follows the graph in place', () => {
  const scene = sceneOf(TEXT);
  const { graph } = scene;
  const box = scene.boxes.get('yes');
  const { links } = scene;
  const moved = { ...graph, places: new Map([...graph.places, ['yes', { x: 5, y: 6 }]]) };
  scene.update(moved, CATALOGUE, new Set());
  assert.equal(scene.boxes.get('yes'), box);
  assert.deepEqual([box.x, box.y], [5, 6]);
  assert.equal(scene.links, links, 'a move rewires nothing');
  const gone = { ...moved, nodes: new Map([...moved.nodes].filter(([id]) => id !== 'load')) };
  scene.update(gone, CATALOGUE, new Set());
  assert.ok(!scene.boxes.has('load'));
  assert.ok(scene.links.every(({ from }) => from.id !== 'load'));
});
