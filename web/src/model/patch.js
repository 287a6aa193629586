/**
 * Graph edits as edits of the text that it was read from: comments, order, quotes and blank lines stay as they are.
 *
 * Only the places that changed are written anew. Edits point into the old text and do not overlap.
 *
 * @module
 */

/** @import {Graph, Node, Param, Raw, TextChange} from './types.js' */
/** @import {MapIndex, PairIndex} from './read.js' */
import { sameFlat, sameNode, written } from './equal.js';
import { EditedMap } from './edited_map.js';
import { paramRaw, placeRaw, renderAfterKey, renderInline, renderNode, renderParamValue, renderWith, round } from './render.js';
import { escaped, same } from './values.js';

const ROOT_ORDER = ['nodegraph', 'name', 'description', 'params', 'foreach', 'matrix', 'nodes', 'outputs', 'groups', 'notes', 'layout'];
const NODE_ORDER = ['uses', 'title', 'note', 'mode', 'when', 'with'];

/**
 * The edits that make the text of `before` say `after`.
 * @param {string} text
 * @param {MapIndex} index
 * @param {Graph} before as `text` reads
 * @param {Graph} after
 * @returns {TextChange[]}
 */
export function patch(text, index, before, after) {
  const root = new EditedMap(text, index, ROOT_ORDER);
  if (before.name !== after.name) root.set('name', after.name ?? undefined);
  if (before.description !== after.description) root.set('description', after.description || undefined);
  patchParams(root, before, after);
  patchNodes(root, before, after);
  patchValues(root, 'outputs', before.outputs, after.outputs);
  patchGroups(root, before, after);
  patchNotes(root, before, after);
  patchLayout(root, before, after);
  for (const key of new Set([...before.extra.keys(), ...after.extra.keys()])) {
    if (!same(before.extra.get(key), after.extra.get(key))) root.set(key, after.extra.get(key));
  }
  return root.changes();
}

/**
 * The text of a graph that was never a text.
 * @param {Graph} graph
 * @returns {string}
 */
export function writeGraph(graph) {
  const lines = ['nodegraph: 1'];
  if (graph.name !== null) lines.push(`name:${renderAfterKey(graph.name, 0)}`);
  if (graph.description) lines.push(`description:${renderAfterKey(graph.description, 0)}`);
  const section = (/** @type {string} */ key, /** @type {string[]} */ rows) => {
    if (rows.length) lines.push('', `${key}:`, ...rows.map((row) => `  ${row}`));
  };
  section('params', [...graph.params.values()].map((param) => `${param.name}:${paramText(param, 2)}`));
  for (const [key, value] of graph.extra) lines.push('', `${key}: ${renderInline(value)}`);
  if (graph.nodes.size) section('nodes', [...graph.nodes.values()].map((node) => renderNode(node, 2)));
  else lines.push('', 'nodes: {}');
  section('outputs', [...graph.outputs].map(([name, value]) => `${name}: ${renderInline(value)}`));
  section('groups', [...graphGroups(graph)].map(([title, value]) => renderPair(title, value)));
  section('notes', [...graph.notes.values()].map((note) => `- ${renderInline(noteRaw(note))}`));
  section('layout', [...graphLayout(graph)].map(([key, value]) => renderPair(key, value)));
  return `${lines.join('\n')}\n`;
}

/**
 * @param {string} key
 * @param {Raw} value
 */
function renderPair(key, value) {
  return renderInline(new Map([[key, value]])).slice(1, -1);
}

/**
 * @param {Param} param
 * @param {number} indent
 */
function paramText(param, indent) {
  return param.long || param.value === undefined ? ` ${renderInline(paramRaw(param))}`
    : param.type === 'FLOAT' ? ` ${renderParamValue(param)}` : renderAfterKey(escaped(param.value), indent);
}

/**
 * @param {EditedMap} root
 * @param {Graph} before
 * @param {Graph} after
 */
function patchParams(root, before, after) {
  if (before.params === after.params) return;
  const params = root.child('params', after.params.size === 0);
  for (const name of before.params.keys()) if (!after.params.has(name)) params.set(name, undefined);
  for (const param of after.params.values()) {
    const old = before.params.get(param.name);
    if (old === param || (old && sameFlat(old, param))) continue;
    if (old && !old.long && !param.long && param.value !== undefined) params.setText(param.name, (style) => (
      param.type === 'FLOAT' ? ` ${renderParamValue(param)}` : style.after(escaped(param.value ?? null))));
    else if (old?.long && param.long && param.value !== undefined && sameFlat({ ...old, value: 0 }, { ...param, value: 0 }) && params.has(param.name, 'default')) {
      params.child(param.name, false).setText('default', () => ` ${renderParamValue(param, { flow: true })}`);
    } else params.setText(param.name, (style) => (style.flow ? ` ${renderInline(paramRaw(param), { flow: true })}` : paramText(param, style.indent)));
  }
}

/**
 * @param {EditedMap} root
 * @param {Graph} before
 * @param {Graph} after
 */
function patchNodes(root, before, after) {
  if (before.nodes === after.nodes) return;
  const nodes = root.child('nodes', false);
  const former = new Map([...before.nodes.values()].map((node) => [node.uid, node]));
  const kept = new Set([...after.nodes.values()].map((node) => node.uid));
  for (const node of before.nodes.values()) if (!kept.has(node.uid)) nodes.set(node.id, undefined, { comments: true });
  /** @type {string | null} */
  let previous = null;
  for (const node of after.nodes.values()) {
    const old = former.get(node.uid);
    if (!old) nodes.insertAfter(previous, node.id, (style) => (style.flow ? `${node.id}: ${renderInline(nodeRaw(node), { flow: true })}` : renderNode(node, style.indent)));
    else if (old !== node) {
      if (old.id !== node.id) nodes.rename(old.id, node.id);
      if (!sameNode({ ...old, id: node.id }, node)) patchNode(nodes.child(old.id, false, NODE_ORDER), old, node);
    }
    if (old) previous = old.id;
  }
}

/**
 * @param {EditedMap} map
 * @param {Node} old
 * @param {Node} node
 */
function patchNode(map, old, node) {
  for (const key of /** @type {const} */ (['uses', 'title', 'note'])) {
    if (old[key] !== node[key]) map.set(key, node[key] ?? undefined);
  }
  if (old.mode !== node.mode) map.set('mode', node.mode === 'run' ? undefined : node.mode);
  for (const key of new Set([...old.extra.keys(), ...node.extra.keys()])) {
    if (!same(old.extra.get(key), node.extra.get(key))) map.set(key, node.extra.get(key));
  }
  if (old.inputs === node.inputs) return;
  if (node.inputs.size && !old.inputs.size) {
    map.setWhole('with', (style) => (style.flow ? `with: ${renderInline(/** @type {Raw} */ (node.inputs), { flow: true })}` : renderWith(node.inputs, style.indent)));
    return;
  }
  patchValues(map, 'with', old.inputs, node.inputs);
}

/**
 * @param {EditedMap} parent
 * @param {string} key
 * @param {ReadonlyMap<string, Raw>} before
 * @param {ReadonlyMap<string, Raw>} after
 */
function patchValues(parent, key, before, after) {
  if (before === after) return;
  const changed = [...new Set([...before.keys(), ...after.keys()])].filter((name) => !same(before.get(name), after.get(name)) || before.has(name) !== after.has(name));
  if (!changed.length) return;
  const map = parent.child(key, after.size === 0);
  for (const name of changed) map.set(name, after.get(name));
}

/**
 * @param {EditedMap} root
 * @param {Graph} before
 * @param {Graph} after
 */
function patchGroups(root, before, after) {
  if (before.groups === after.groups) return;
  patchValues(root, 'groups', graphGroups(before), graphGroups(after));
}

/**
 * @param {EditedMap} root
 * @param {Graph} before
 * @param {Graph} after
 */
function patchNotes(root, before, after) {
  if (before.notes === after.notes) return;
  const [old, now] = [before, after].map((graph) => [...graph.notes.values()].map(noteRaw));
  if (!old || !now || same(old, now)) return;
  root.setWhole('notes', now.length ? ({ flow, indent }) => (flow ? `notes: ${renderInline(now, { flow })}`
    : ['notes:', ...now.map((note) => `${' '.repeat(indent + 2)}- ${renderInline(note)}`)].join('\n')) : undefined);
}

/**
 * The layout; what a renamed node has there gets its new name in its place.
 * @param {EditedMap} root
 * @param {Graph} before
 * @param {Graph} after
 */
function patchLayout(root, before, after) {
  if (before.places === after.places && before.points === after.points) return;
  const [old, now] = [graphLayout(before), graphLayout(after)];
  const names = renames(before, after);
  const moved = (/** @type {string} */ key) => {
    const [id = '', ...input] = key.split('.');
    const to = [names.get(id) ?? id, ...input].join('.');
    return to !== key && now.has(to) && !old.has(to) ? to : key;
  };
  const shown = new Map([...old.keys()].map((key) => [moved(key), key]));
  const changed = [...new Set([...shown.keys(), ...now.keys()])].filter((key) => !now.has(key) || !shown.has(key) || shown.get(key) !== key || !same(old.get(key), now.get(key)));
  if (!changed.length) return;
  const map = root.child('layout', now.size === 0);
  for (const key of changed) {
    const former = shown.get(key);
    const value = now.get(key);
    if (former === undefined) {
      if (value !== undefined) map.add(key, value);
      continue;
    }
    if (former !== key) map.rename(former, key);
    if (!same(old.get(former), value)) map.set(former, value);
  }
}

/**
 * The nodes that are called something else now.
 * @param {Graph} before
 * @param {Graph} after
 */
function renames(before, after) {
  const former = new Map([...before.nodes.values()].map((node) => [node.uid, node.id]));
  return new Map([...after.nodes.values()].flatMap((node) => {
    const id = former.get(node.uid);
    return id !== undefined && id !== node.id ? [[id, node.id]] : [];
  }));
}

/**
 * @param {Graph} graph
 * @returns {Map<string, Raw>}
 */
function graphLayout(graph) {
  /** @type {Map<string, Raw>} */
  const layout = new Map();
  for (const [id, place] of written(graph.places)) layout.set(id, placeRaw(place));
  for (const [key, points] of graph.points) layout.set(key, points.map(({ x, y }) => [round(x), round(y)]));
  return layout;
}

/**
 * @param {Graph} graph
 * @returns {Map<string, Raw>}
 */
function graphGroups(graph) {
  return new Map([...graph.groups.values()].map((group) => {
    const [at, size] = [[round(group.x), round(group.y)], [round(group.width), round(group.height)]];
    /** @type {Raw} */
    const raw = group.colour === undefined ? [...at, ...size] : new Map(/** @type {[string, Raw][]} */ ([['at', at], ['size', size], ['colour', group.colour]]));
    return [group.title, raw];
  }));
}

/**
 * @param {import('./types.js').Note} note
 * @returns {Raw}
 */
function noteRaw(note) {
  /** @type {Map<string, Raw>} */
  const map = new Map([['text', /** @type {Raw} */ (note.text)], ['at', [round(note.x), round(note.y)]], ['size', [round(note.width), round(note.height)]]]);
  if (note.title !== undefined) map.set('title', note.title);
  if (note.colour !== undefined) map.set('colour', note.colour);
  return map;
}

/**
 * A node as the value under its name.
 * @param {Node} node
 * @returns {Raw}
 */
function nodeRaw(node) {
  /** @type {Map<string, Raw>} */
  const map = new Map([['uses', /** @type {Raw} */ (node.uses)]]);
  if (node.title !== null) map.set('title', node.title);
  if (node.note !== null) map.set('note', node.note);
  if (node.mode !== 'run') map.set('mode', node.mode);
  if (node.inputs.size) map.set('with', node.inputs);
  for (const [key, value] of node.extra) map.set(key, value);
  return map;
}
