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
 * Where a node stands. Without an index its lines are looked for.
 * @param {string} text
 * @param {MapIndex | null} index where things stand in this text, if that is known
 * @param {string} id
 * @returns {{from: number, to: number} | null}
 */
export function nodeRange(text, index, id) {
  if (!index) return nodeLines(text).get(id) ?? null;
  const pair = index.pairs.get('nodes')?.map?.pairs.get(id);
  return pair ? { from: pair.keyFrom, to: Math.max(pair.keyTo, pair.valueTo) } : null;
}

/** The last text that was looked through: a selection asks for many nodes of one. */
let looked = { text: '', lines: /** @type {Map<string, {from: number, to: number}>} */ (new Map()) };

/**
 * The lines of all nodes below a line `nodes:`, each from its name to its last line.
 * @param {string} text
 */
function nodeLines(text) {
  if (looked.text === text) return looked.lines;
  /** @type {Map<string, {from: number, to: number}>} */
  const lines = new Map();
  const head = /^nodes:[ \t]*(?:#.*)?$/m.exec(text);
  let indent = -1;
  /** @type {{from: number, to: number} | null} */
  let last = null;
  for (let at = head ? text.indexOf('\n', head.index) + 1 : 0; at > 0 && at < text.length;) {
    const end = text.indexOf('\n', at);
    const line = text.slice(at, end < 0 ? text.length : end);
    const lead = line.length - line.trimStart().length;
    if (line.trim() !== '' && line[lead] !== '#') {
      if (lead === 0) break;
      if (indent < 0) indent = lead;
      const name =
        lead === indent ? /^(?:"([^"]*)"|'([^']*)'|([^\s#:'"{}[\],][^\s:]*))\s*:(?:\s|$)/.exec(line.slice(lead)) : null;
      if (name) {
        last = { from: at + lead, to: at + line.length };
        lines.set(name[1] ?? name[2] ?? name[3] ?? '', last);
      } else if (last) last.to = at + line.trimEnd().length;
    }
    at = end + 1;
  }
  looked = { text, lines };
  return lines;
}
