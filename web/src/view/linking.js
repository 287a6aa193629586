/**
 * A link that is being drawn: from which socket, which sockets fit, and what a drop does. Knows nothing of the page.
 *
 * @module
 */

/** @import {InputSpec, Point} from '../model/types.js' */
/** @import {NodeBox, Scene} from './scene.js' */
import { accepts, colourOf, isWidget, outputName } from '../model/catalogue.js';
import { connect } from '../model/graph.js';
import { ancestors } from '../model/order.js';
import { refOf } from '../model/values.js';
import { inputsOf } from './geometry.js';
import { socketPoint } from './hit.js';

/** @typedef {{side: 'input', node: string, input: string} | {side: 'output', node: string, index: number}} Socket */

/**
 * `origin` is the end that stays, at `from`; the other end is at `at` for now. `lifted` is the input whose link was picked
 * up, `barred` the nodes to which a link would close a ring.
 * @typedef {{
 *   origin: Socket, type: string, colour: string, from: Point, at: Point, target: Socket | null,
 *   lifted: {node: string, input: string} | null, barred: ReadonlySet<string>,
 * }} Linking
 */

/**
 * Begin at a socket. From an input that has a link, the link is picked up: it begins at its output.
 * @param {Scene} scene
 * @param {Socket} socket
 * @param {Point} at
 * @param {{lift?: boolean}} [how]
 * @returns {Linking | null}
 */
export function beginLink(scene, socket, at, { lift = true } = {}) {
  const box = scene.boxes.get(socket.node);
  if (!box) return null;
  if (socket.side === 'input' && lift) {
    const line = box.links.find(({ input }) => input === socket.input);
    if (line && line.index >= 0) {
      const origin = /** @type {Socket} */ ({ side: 'output', node: line.from.id, index: line.index });
      return begun(scene, origin, line.type, at, { node: box.id, input: line.input });
    }
  }
  const type = socket.side === 'output' ? box.spec.outputs[socket.index]?.type : inputOf(box, socket.input)?.type;
  return begun(scene, socket, type ?? '*', at, null);
}

/**
 * @param {Scene} scene
 * @param {Socket} origin
 * @param {string} type
 * @param {Point} at
 * @param {{node: string, input: string} | null} lifted
 * @returns {Linking}
 */
function begun(scene, origin, type, at, lifted) {
  const barred = origin.side === 'output' ? ancestors(scene.graph, origin.node).add(origin.node) : behind(scene, origin.node);
  const box = /** @type {NodeBox} */ (scene.boxes.get(origin.node));
  const colour = scene.catalogue ? colourOf(scene.catalogue, type) : '';
  return { origin, type, colour, from: socketPoint(box, origin), at, target: null, lifted, barred };
}

/**
 * @param {NodeBox} box
 * @param {string} name
 * @returns {InputSpec | undefined}
 */
export function inputOf(box, name) {
  return inputsOf(box.spec, box.node).find((input) => input.name === name);
}

/**
 * The nodes that take from a node, however far, and itself.
 * @param {Scene} scene
 * @param {string} id
 */
function behind(scene, id) {
  /** @type {Map<string, string[]>} */
  const takers = new Map();
  for (const { from, to } of scene.links) takers.set(from.id, [...(takers.get(from.id) ?? []), to.id]);
  const found = new Set([id]);
  for (const each of found) for (const next of takers.get(each) ?? []) found.add(next);
  return found;
}

/**
 * Whether a socket can be the other end.
 * @param {Linking} linking
 * @param {NodeBox} box
 * @param {Socket} socket
 */
export function fits(linking, box, socket) {
  if (socket.side === linking.origin.side || linking.barred.has(box.id)) return false;
  if (socket.side === 'output') return accepts(linking.type, box.spec.outputs[socket.index]?.type ?? '*');
  const input = inputOf(box, socket.input);
  return input !== undefined && !input.raw && accepts(input.type, linking.type);
}

/**
 * All sockets of a node that fit, those that are free and those without widgets first.
 * @param {Linking} linking
 * @param {NodeBox} box
 * @returns {Socket[]}
 */
export function fittingSockets(linking, box) {
  /** @type {Socket[]} */
  const all = linking.origin.side === 'input'
    ? box.spec.outputs.map((_, index) => ({ side: 'output', node: box.id, index }))
    : inputsOf(box.spec, box.node).map(({ name }) => ({ side: 'input', node: box.id, input: name }));
  const rank = (/** @type {Socket} */ socket) => {
    if (socket.side === 'output') return 0;
    const input = inputOf(box, socket.input);
    const taken = refOf(box.node.inputs.get(socket.input)) !== null;
    return (taken ? 2 : 0) + (input && isWidget(input) ? 1 : 0);
  };
  return all.filter((socket) => fits(linking, box, socket)).sort((a, b) => rank(a) - rank(b));
}

/**
 * The edit that joins the origin with a socket.
 * @param {Scene} scene
 * @param {Socket} origin
 * @param {Socket} target
 * @returns {((graph: import('../model/types.js').Graph) => import('../model/types.js').Graph) | null}
 */
export function joining(scene, origin, target) {
  const [output, input] = origin.side === 'output' ? [origin, target] : [target, origin];
  const from = scene.boxes.get(output.node);
  if (output.side !== 'output' || input.side !== 'input' || !from) return null;
  return (graph) => connect(graph, { from: output.node, output: outputName(from.spec, output.index), to: input.node, input: input.input });
}

/** @param {Socket | null} a @param {Socket | null} b */
export function sameSocket(a, b) {
  if (!a || !b || a.side !== b.side || a.node !== b.node) return a === b;
  return a.side === 'output' ? a.index === /** @type {any} */ (b).index : a.input === /** @type {any} */ (b).input;
}
