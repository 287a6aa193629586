/**
 * Adding nodes of a type: at a place, with a link to where it is wanted.
 *
 * @module
 */

/** @import {App} from '../../app.js' */
/** @import {Catalogue} from '../../model/catalogue.js' */
/** @import {Graph, NodeSpec, Place, Point} from '../../model/types.js' */
import { readJson, writeJson } from '../../app.js';
import { accepts, isWidget, outputName, specOf } from '../../model/catalogue.js';
import { addNode, connect } from '../../model/graph.js';
import { firstInputs, stemOf } from '../../model/naming.js';
import { writeRef } from '../../model/values.js';
import { inputAt, layoutNode, outputAt } from '../../view/geometry.js';
import { setControl } from '../../widgets/seed.js';

/**
 * What a new node is to be linked to: an output (`side` is that of the new node, `index` the output's), or an input
 * (`name`).
 * @typedef {{type: string, side: 'input' | 'output', node: string, index?: number, name?: string}} Accept
 */

const RECENT = 'nodegraph.recentTypes';
const KEPT = 12;

/** The types that were added last, the latest first. @param {App} app @returns {string[]} */
export function recentTypes(app) {
  const found = readJson(app.storage, RECENT);
  return Array.isArray(found) ? found.filter((name) => typeof name === 'string') : [];
}

/** @param {App} app @param {string} type */
function noteRecent(app, type) {
  writeJson(app.storage, RECENT, [type, ...recentTypes(app).filter((name) => name !== type)].slice(0, KEPT));
}

/**
 * The socket of a type that a link fits: one of the same type rather than one that takes anything, a socket rather than a
 * widget. Its name or place; null if none fits.
 * @param {NodeSpec} spec
 * @param {Accept} accept
 * @returns {string | number | null}
 */
export function fittingSocket(spec, { side, type }) {
  if (side === 'output') {
    const fitting = spec.outputs.flatMap((output, i) => (accepts(type, output.type) ? [i] : []));
    return fitting.find((i) => spec.outputs[i]?.type === type) ?? fitting[0] ?? null;
  }
  const fitting = spec.inputs.filter((input) => accepts(input.type, type));
  const best = fitting.find((input) => input.type === type && !isWidget(input)) ?? fitting.find((input) => !isWidget(input))
    ?? fitting.find((input) => input.type === type) ?? fitting[0];
  return best?.name ?? null;
}

/**
 * The graph with a node of a type, and its name. `at` is where its corner lies, or, with `accept`, the socket that the
 * link arrives at.
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 * @param {NodeSpec} spec
 * @param {Point} at
 * @param {Accept} [accept]
 * @returns {{graph: Graph, id: string}}
 */
export function withNode(graph, catalogue, spec, at, accept) {
  const socket = accept ? fittingSocket(spec, accept) : null;
  const inputs = firstInputs(spec);
  const source = accept?.side === 'input' ? graph.nodes.get(accept.node) : undefined;
  if (source && typeof socket === 'string') inputs.set(socket, writeRef(source.id, outputName(specOf(catalogue, source, graph), accept?.index ?? 0)));
  const added = addNode(graph, { id: stemOf(spec.name, accept?.name), uses: spec.name, inputs }, { x: 0, y: 0 });
  const place = placeFor(added.graph, spec, added.id, at, socket);
  const placed = { ...added.graph, places: new Map([...added.graph.places, [added.id, place]]) };
  if (accept?.side !== 'output' || typeof socket !== 'number' || accept.name === undefined) return { graph: placed, id: added.id };
  return { id: added.id, graph: connect(placed, { from: added.id, output: outputName(spec, socket), to: accept.node, input: accept.name }) };
}

/**
 * @param {Graph} graph
 * @param {NodeSpec} spec
 * @param {string} id
 * @param {Point} at
 * @param {string | number | null} socket
 * @returns {Place}
 */
function placeFor(graph, spec, id, at, socket) {
  const node = graph.nodes.get(id);
  const layout = node ? layoutNode(spec, node, { x: 0, y: 0 }) : null;
  const offset = !layout || socket === null ? { x: 0, y: 0 } : typeof socket === 'string' ? inputAt(layout, socket) : outputAt(layout, socket);
  return { x: Math.round(at.x - offset.x), y: Math.round(at.y - offset.y) };
}

/**
 * Add a node of a type to the file that is shown, and select it; answers its name, null if the file cannot be edited.
 * @param {App} app
 * @param {NodeSpec | undefined} spec
 * @param {Point} at
 * @param {Accept} [accept]
 * @returns {string | null}
 */
export function addType(app, spec, at, accept) {
  const catalogue = app.catalogue.get();
  const session = app.session.get();
  if (!spec) return null;
  let id = '';
  const done = session.edit('edit.add', (graph) => {
    const added = withNode(graph, catalogue, spec, at, accept);
    ({ id } = added);
    return added.graph;
  });
  if (!done) return null;
  noteRecent(app, spec.name);
  // As in the editors that people come from; a seed that stands in a file stays what it is until somebody says otherwise.
  for (const input of spec.inputs) if (input.control) setControl(app, session, id, input.name, 'randomize');
  session.selection.set(new Set([id]));
  return id;
}

/**
 * Add a node in the middle of what is seen, beside one that lies there already.
 * @param {App} app
 * @param {NodeSpec} spec
 */
export function addInMiddle(app, spec) {
  const at = app.middle();
  const { places } = app.session.get().graph.get();
  const corner = { x: at.x - 115, y: at.y - 60 };
  while ([...places.values()].some(({ x, y }) => Math.abs(x - corner.x) < 20 && Math.abs(y - corner.y) < 20)) {
    corner.x += 30;
    corner.y += 30;
  }
  return addType(app, spec, corner);
}
