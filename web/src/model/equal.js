/**
 * Which graphs, nodes and places say the same.
 *
 * @module
 */

/** @import {Graph, Node, Place} from './types.js' */
import { without } from './graph.js';
import { same } from './values.js';

/**
 * Whether two graphs would be written alike, but for places that were only computed.
 * @param {Graph} a
 * @param {Graph} b
 */
export function sameGraph(a, b) {
  return a.name === b.name && a.description === b.description
    && sameMap(a.params, b.params, sameFlat) && sameMap(a.nodes, b.nodes, sameNode)
    && sameMap(a.outputs, b.outputs, same) && sameMap(a.extra, b.extra, same)
    && sameMap(written(a.places), written(b.places), sameFlat)
    && sameMap(a.points, b.points, (p, q) => p.length === q.length && p.every((at, i) => sameFlat(at, q[i] ?? {})))
    && sameMap(a.groups, b.groups, sameFlat) && sameMap(a.notes, b.notes, sameFlat);
}

/** @param {ReadonlyMap<string, Place>} places */
export function written(places) {
  return without(places, (_, place) => place.auto === true);
}

/**
 * @template T
 * @param {ReadonlyMap<string, T>} a
 * @param {ReadonlyMap<string, T>} b
 * @param {(a: T, b: T) => boolean} equal
 */
function sameMap(a, b, equal) {
  if (a === b) return true;
  if (a.size !== b.size) return false;
  return [...a].every(([key, value]) => {
    const other = b.get(key);
    return (other !== undefined || b.has(key)) && (value === other || equal(value, /** @type {T} */ (other)));
  });
}

/**
 * Whether two nodes would be written alike; the order of their inputs means nothing.
 * @param {Node} a
 * @param {Node} b
 */
export function sameNode(a, b) {
  return a.id === b.id && a.uses === b.uses && a.title === b.title && a.note === b.note && a.mode === b.mode
    && sameMap(a.inputs, b.inputs, same) && sameMap(a.extra, b.extra, same);
}

/**
 * @param {object} a
 * @param {object} b
 */
export function sameFlat(a, b) {
  const left = Object.entries(a).filter(([, value]) => value !== undefined && value !== false);
  const right = new Map(Object.entries(b).filter(([, value]) => value !== undefined && value !== false));
  return left.length === right.size && left.every(([key, value]) => same(value, right.get(key)));
}
