/**
 * What lies under a point of the canvas. It is reckoned, and not asked of the page, so that it is the same for nodes that
 * are boxes from afar.
 *
 * @module
 */

/** @import {Graph, Group, Note, Point} from '../model/types.js' */
/** @import {Form} from './curve.js' */
/** @import {Line, NodeBox, Scene} from './scene.js' */
import { nearest } from './curve.js';
import { HEADER, ROW, inputAt, outputAt } from './geometry.js';
import { crosses, stopsOf } from './scene.js';

const CORNER = 16;
const TITLE = 28;

/** @typedef {{kind: 'corner', box: NodeBox} | {kind: 'noteCorner', note: Note} | {kind: 'groupCorner', group: Group}} CornerHit */

/** @typedef {{kind: 'link', line: Line, after: number}} LinkHit */

/** @typedef {{kind: 'point', line: Line, index: number}} PointHit */

/**
 * @typedef {CornerHit | LinkHit | PointHit
 *   | {kind: 'output', box: NodeBox, index: number}
 *   | {kind: 'input', box: NodeBox, input: string}
 *   | {kind: 'title' | 'body', box: NodeBox}
 *   | {kind: 'note', note: Note}
 *   | {kind: 'group', group: Group}
 *   | {kind: 'empty'}} Hit
 */

/**
 * @param {Scene} scene
 * @param {Point} point
 * @param {{slack: number, form: Form | 'hidden'}} how slack: how far beside a socket or a link still counts
 * @returns {Hit}
 */
export function hitAt(scene, point, { slack, form }) {
  const reach = Math.max(9, slack);
  const near = scene.fromTop((box) => inside(point, box, reach));
  for (const box of near) {
    const found = inNode(box, point, reach);
    if (found) return found;
  }
  const note = [...scene.graph.notes.values()].reverse().find((each) => inside(point, each, 0));
  if (note) return { kind: inCorner(point, note) ? 'noteCorner' : 'note', note };
  return onLinks(scene, point, slack, form) ?? onGroups(scene.graph, point) ?? { kind: 'empty' };
}

/**
 * @param {NodeBox} box
 * @param {Point} point
 * @param {number} reach
 * @returns {Hit | null}
 */
function inNode(box, point, reach) {
  const socket = socketAt(box, point, reach);
  if (socket) return socket;
  if (!inside(point, box, 0)) return null;
  if (point.y < box.y + HEADER) return { kind: 'title', box };
  return { kind: !box.layout.collapsed && inCorner(point, box) ? 'corner' : 'body', box };
}

/**
 * The socket of a node near a point.
 * @param {NodeBox} box
 * @param {Point} point
 * @param {number} reach
 * @returns {Hit | null}
 */
function socketAt(box, point, reach) {
  const [x, y] = [point.x - box.x, point.y - box.y];
  if (box.layout.collapsed) {
    if (box.spec.outputs.length === 1 && Math.hypot(x - box.width, y - HEADER / 2) <= reach) return { kind: 'output', box, index: 0 };
    return null;
  }
  for (const { input, output, y: top } of box.layout.rows) {
    if (Math.abs(top + ROW / 2 - y) > Math.min(reach, ROW / 2)) continue;
    if (output !== null && Math.abs(x - box.width) <= reach) return { kind: 'output', box, index: output };
    if (input && Math.abs(x) <= reach) return { kind: 'input', box, input: input.name };
  }
  return null;
}

/**
 * @param {Scene} scene
 * @param {Point} point
 * @param {number} slack
 * @param {Form | 'hidden'} form
 * @returns {Hit | null}
 */
function onLinks(scene, point, slack, form) {
  if (form === 'hidden') return null;
  const around = { x: point.x - slack, y: point.y - slack, width: 2 * slack, height: 2 * slack };
  const lines = scene.links.filter((line) => crosses(line, around));
  for (const line of lines) {
    const index = line.points.findIndex(({ x, y }) => Math.hypot(x - point.x, y - point.y) <= Math.max(8, slack));
    if (index >= 0) return { kind: 'point', line, index };
  }
  let best = slack;
  /** @type {Hit | null} */
  let found = null;
  for (const line of lines) {
    const { distance, after } = nearest(stopsOf(line), form, point);
    if (distance >= best) continue;
    best = distance;
    found = { kind: 'link', line, after };
  }
  return found;
}

/**
 * Groups are held at their titles and their corners; within them is empty canvas.
 * @param {Graph} graph
 * @param {Point} point
 * @returns {Hit | null}
 */
function onGroups(graph, point) {
  for (const group of [...graph.groups.values()].reverse()) {
    if (!inside(point, group, 0)) continue;
    if (inCorner(point, group)) return { kind: 'groupCorner', group };
    if (point.y < group.y + TITLE) return { kind: 'group', group };
  }
  return null;
}

/**
 * @param {Point} point
 * @param {{x: number, y: number, width: number, height: number}} box
 * @param {number} margin
 */
export function inside(point, box, margin) {
  return point.x >= box.x - margin && point.x <= box.x + box.width + margin
    && point.y >= box.y - margin && point.y <= box.y + box.height + margin;
}

/**
 * @param {Point} point
 * @param {{x: number, y: number, width: number, height: number}} box
 */
function inCorner(point, box) {
  return point.x > box.x + box.width - CORNER && point.y > box.y + box.height - CORNER;
}

/**
 * Where a socket is on the canvas.
 * @param {NodeBox} box
 * @param {{side: 'input', input: string} | {side: 'output', index: number}} socket
 * @returns {Point}
 */
export function socketPoint(box, socket) {
  const at = socket.side === 'input' ? inputAt(box.layout, socket.input) : outputAt(box.layout, socket.index);
  return { x: box.x + at.x, y: box.y + at.y };
}
