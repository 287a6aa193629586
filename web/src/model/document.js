/**
 * A text and the graph that it says, kept together.
 *
 * @module
 */

/** @import {Graph, TextChange} from './types.js' */
/** @import {ReadText} from './read.js' */
import { sameGraph } from './equal.js';
import { patch, writeGraph } from './patch.js';
import { readText } from './read.js';

/**
 * A text with changes made; they do not overlap and are sorted.
 * @param {string} text
 * @param {readonly TextChange[]} changes
 */
export function applyChanges(text, changes) {
  let result = '';
  let at = 0;
  for (const { from, to, insert } of changes) {
    result += text.slice(at, from) + insert;
    at = Math.max(at, to);
  }
  return result + text.slice(at);
}

/**
 * The text of a graph, made of the text of a former one with as little change as possible. It is read again: what does
 * not come out as the graph is written anew instead.
 * @param {ReadText} read
 * @param {Graph} after
 * @returns {ReadText & {rewritten: boolean}}
 */
export function writeText(read, after) {
  if (read.graph && read.index) {
    const text = applyChanges(read.text, patch(read.text, read.index, read.graph, after));
    const again = readText(text, after);
    if (again.graph && sameGraph(again.graph, after)) return { ...again, rewritten: false };
  }
  return { ...readText(writeGraph(after), after), rewritten: true };
}

/**
 * The one change that turns a text into another: what lies between their common beginning and end.
 * @param {string} before
 * @param {string} after
 * @returns {TextChange | null}
 */
export function difference(before, after) {
  if (before === after) return null;
  const most = Math.min(before.length, after.length);
  let from = 0;
  while (from < most && before[from] === after[from]) from += 1;
  let same = 0;
  while (same < most - from && before[before.length - 1 - same] === after[after.length - 1 - same]) same += 1;
  return { from, to: before.length - same, insert: after.slice(from, after.length - same) };
}
