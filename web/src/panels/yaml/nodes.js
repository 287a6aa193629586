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
  const part = partAround(text, pos);
  const { path, at, from, to } = whereAt(part.text, part.pos);
  if (path[0] !== 'nodes') return null;
  return path[1] ?? (path.length === 1 && at === 'key' && from < to ? part.text.slice(from, to) : null);
}

/**
 * Where a node stands. Without an index its lines are looked for.
 * @param {string} text
 * @param {MapIndex | null} index where things stand in this text, if that is known
 * @param {string} id
 * @returns {{from: number, to: number} | null}
 */
export function nodeRange(text, index, id) {
  if (!index) return look(text).lines.get(id) ?? null;
  const pair = index.pairs.get('nodes')?.map?.pairs.get(id);
  return pair ? { from: pair.keyFrom, to: Math.max(pair.keyTo, pair.valueTo) } : null;
}

/**
 * The part of a text in which a place is to be understood: the lines of its node below a `nodes:`, or all of it. What is
 * found there is `shift` characters further on in the whole. Thus a thousand nodes take no longer than one.
 * @param {string} text
 * @param {number} pos
 * @returns {{text: string, pos: number, shift: number}}
 */
export function partAround(text, pos) {
  const { starts, end } = look(text);
  if (starts.length === 0 || pos < (starts[0] ?? 0) || pos > end) return { text, pos, shift: 0 };
  let [low, high] = [0, starts.length];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if ((starts[middle] ?? 0) <= pos) low = middle;
    else high = middle;
  }
  const from = starts[low] ?? 0;
  const shift = from - HEAD.length;
  return { text: HEAD + text.slice(from, starts[high] ?? end), pos: pos - shift, shift };
}

const HEAD = 'nodes:\n';

/**
 * Where the nodes of a text stand: from the name to the last line of each, where their lines begin, where they all end.
 * @typedef {{text: string, lines: Map<string, {from: number, to: number}>, starts: number[], end: number}} Looked
 */

/** The last text that was looked through: it is asked for again and again. @type {Looked} */
let looked = { text: '', lines: new Map(), starts: [], end: 0 };

/**
 * @param {string} text
 * @returns {Looked}
 */
function look(text) {
  if (looked.text === text) return looked;
  /** @type {Looked} */
  const found = { text, lines: new Map(), starts: [], end: text.length };
  const head = /^nodes:[ \t]*(?:#.*)?$/m.exec(text);
  let indent = -1;
  /** @type {{from: number, to: number} | null} */
  let last = null;
  for (let at = head ? text.indexOf('\n', head.index) + 1 : 0; at > 0 && at < text.length;) {
    const end = text.indexOf('\n', at);
    const line = text.slice(at, end < 0 ? text.length : end);
    const lead = line.length - line.trimStart().length;
    if (line.trim() !== '' && line[lead] !== '#') {
      if (lead === 0) {
        found.end = at - 1;
        break;
      }
      if (indent < 0) indent = lead;
      const name = lead === indent ? NAME.exec(line.slice(lead, lead + 200)) : null;
      if (name) {
        last = { from: at + lead, to: at + line.length };
        found.lines.set(name[1] ?? name[2] ?? name[3] ?? '', last);
        found.starts.push(at);
      } else if (last) last.to = at + line.trimEnd().length;
    }
    at = end + 1;
  }
  looked = found;
  return found;
}

const NAME = /^(?:"([^"]*)"|'([^']*)'|([^\s#:'"{}[\],][^\s:]*))\s*:(?:\s|$)/;
