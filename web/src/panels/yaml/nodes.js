/**
 * Which node a place of the text is in, and where a node stands.
 *
 * @module
 */

/** @import {MapIndex} from '../../model/read.js' */
import { whereAt } from './where.js';

/**
 * The node whose lines a place is in, or null.
 * @param {string} text
 * @param {number} pos
 * @param {MapIndex | null} index where things stand in this text, if that is known
 * @returns {string | null}
 */
export function nodeAt(text, pos, index) {
  const nodes = index?.pairs.get('nodes')?.map;
  if (nodes) {
    for (const [id, pair] of nodes.pairs)
      if (pair.keyFrom <= pos && pos <= Math.max(pair.keyTo, pair.valueTo)) return id;
    return null;
  }
  const { path, at, from, to } = whereAt(text, pos);
  if (path[0] !== 'nodes') return null;
  return path[1] ?? (path.length === 1 && at === 'key' && from < to ? text.slice(from, to) : null);
}

/**
 * Where a node stands.
 * @param {MapIndex | null} index
 * @param {string} id
 * @returns {{from: number, to: number} | null}
 */
export function nodeRange(index, id) {
  const pair = index?.pairs.get('nodes')?.map?.pairs.get(id);
  return pair ? { from: pair.keyFrom, to: Math.max(pair.keyTo, pair.valueTo) } : null;
}
