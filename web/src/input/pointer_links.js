/**
 * Drawing links: from a socket to a socket, to the body of a node, or to empty canvas, where a node is looked for.
 *
 * @module
 */

/** @import {Linking, Socket} from '../view/linking.js' */
/** @import {Stage} from '../view/stage.js' */
/** @import {Gesture} from './pointer.js' */
import { setInput } from '../model/graph.js';
import { t } from '../util/i18n.js';
import { socketPoint } from '../view/hit.js';
import { beginLink, fits, fittingSockets, joining } from '../view/linking.js';
import { detail } from '../view/node.js';
import { createEdges } from './pointer_edges.js';

/**
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {Socket} socket
 * @returns {Gesture | null}
 */
export function linkGesture(stage, start, socket) {
  /** @type {Linking | null} */
  let linking = null;
  const edges = createEdges(stage, (event) => follow(event));
  const follow = (/** @type {PointerEvent} */ event) => {
    if (!linking) return;
    linking.target = targetAt(stage, linking, event);
    const box = linking.target && stage.scene.boxes.get(linking.target.node);
    linking.at = box && linking.target ? socketPoint(box, linking.target) : stage.toCanvas(event);
    stage.setLinking(linking);
    edges.follow(event);
  };
  const stop = () => {
    edges.stop();
    stage.setLinking(null);
  };
  return {
    cursor: 'grabbing',
    move(event) {
      if (!stage.session.editable) return;
      linking ??= beginLink(stage.catchUp(), socket, stage.toCanvas(start), { lift: !start.altKey });
      follow(event);
    },
    end(event, moved) {
      const drawn = linking;
      if (drawn) follow(event);
      stop();
      if (drawn && moved) drop(stage, drawn, event);
    },
    cancel: stop,
  };
}

/**
 * The socket that a link would go to now: the one under the pointer, or the best of the node under it.
 * @param {Stage} stage
 * @param {Linking} linking
 * @param {PointerEvent} event
 * @returns {Socket | null}
 */
function targetAt(stage, linking, event) {
  const hit = stage.hit(event, event.pointerType === 'touch');
  if (!('box' in hit)) return null;
  /** @type {Socket | null} */
  const exact = hit.kind === 'output' ? { side: 'output', node: hit.box.id, index: hit.index }
    : hit.kind === 'input' ? { side: 'input', node: hit.box.id, input: hit.input } : rowSocket(stage, linking, hit.box.id, event);
  if (exact && fits(linking, hit.box, exact)) return exact;
  return fittingSockets(linking, hit.box)[0] ?? null;
}

/**
 * The input or output of the row that the pointer is over.
 * @param {Stage} stage
 * @param {Linking} linking
 * @param {string} id
 * @param {PointerEvent} event
 * @returns {Socket | null}
 */
function rowSocket(stage, linking, id, event) {
  const box = stage.scene.boxes.get(id);
  const y = stage.toCanvas(event).y - (box?.y ?? 0);
  const row = box?.layout.rows.find((each) => y >= each.y && y < each.y + each.height);
  if (!row) return null;
  if (linking.origin.side === 'output') return row.input ? { side: 'input', node: id, input: row.input.name } : null;
  return row.output === null ? null : { side: 'output', node: id, index: row.output };
}

/**
 * @param {Stage} stage
 * @param {Linking} linking
 * @param {PointerEvent} event
 */
function drop(stage, linking, event) {
  const { lifted, target, origin } = linking;
  const { session } = stage;
  if (target) {
    const back = lifted && target.side === 'input' && target.node === lifted.node && target.input === lifted.input;
    if (back) return;
    const join = joining(stage.scene, origin, target);
    if (!join) return;
    session.edit('edit.connect', (graph) => join(lifted ? setInput(graph, lifted.node, lifted.input, undefined) : graph));
    stage.say(t('view.connected', { from: nameOf(stage, origin), to: nameOf(stage, target) }));
    return;
  }
  const hit = stage.hit(event, event.pointerType === 'touch');
  if (lifted) {
    session.edit('edit.disconnect', (graph) => setInput(graph, lifted.node, lifted.input, undefined));
    stage.say(t('view.disconnected', { name: `${lifted.node}.${lifted.input}` }));
  } else if ('box' in hit) {
    if (hit.box.id !== origin.node) stage.say(t('view.noFit', { type: linking.type, node: hit.box.node.title ?? hit.box.id }));
  } else searchFor(stage, linking, event);
}

/**
 * Look for a node that the link can end at.
 * @param {Stage} stage
 * @param {Linking} linking
 * @param {{clientX: number, clientY: number}} at
 */
function searchFor(stage, { origin, type }, { clientX, clientY }) {
  const { x, y } = stage.toCanvas({ clientX, clientY });
  const accept = origin.side === 'output'
    ? { type, side: 'input', node: origin.node, index: origin.index }
    : { type, side: 'output', node: origin.node, name: origin.input };
  stage.app.actions.run('search.open', detail({ x: Math.round(x), y: Math.round(y), clientX, clientY, accept }));
}

/**
 * Look for a node to add at a place.
 * @param {Stage} stage
 * @param {{clientX: number, clientY: number}} at
 */
export function searchAt(stage, { clientX, clientY }) {
  const { x, y } = stage.toCanvas({ clientX, clientY });
  stage.app.actions.run('search.open', detail({ x: Math.round(x), y: Math.round(y), clientX, clientY }));
}

/**
 * A socket in words, `ksampler.latent`.
 * @param {Stage} stage
 * @param {Socket} socket
 */
export function nameOf(stage, socket) {
  const name = socket.side === 'input' ? socket.input : stage.scene.boxes.get(socket.node)?.spec.outputs[socket.index]?.name ?? socket.index;
  return `${socket.node}.${name}`;
}
