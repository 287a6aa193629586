/**
 * What somebody reads and types for a text of the file. A text without `${name}` is shown as it is meant; one with it is
 * shown as the file has it, where `$$` is a dollar.
 *
 * @module
 */

import { escape, unescape } from '../model/values.js';

const PLACE = /\$\{[A-Za-z_][A-Za-z0-9_-]{0,63}\}/;
const DOLLARS = /\$\$|\$\{[A-Za-z_][A-Za-z0-9_-]{0,63}\}|\$/g;

/**
 * The text that is shown for a raw one.
 * @param {string} raw
 */
export function toText(raw) {
  const plain = unescape(raw);
  return PLACE.test(plain) ? raw : plain;
}

/**
 * The raw text for what was typed.
 * @param {string} text
 */
export function fromText(text) {
  if (!PLACE.test(text)) return escape(text);
  return text.replace(DOLLARS, (piece) => (piece === '$' ? '$$' : piece));
}

/**
 * The text with the weight of the selection, or of the word at the caret, changed as in `(words:1.1)`; a weight of one
 * goes. Null where there is no word.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {number} by
 * @returns {{text: string, from: number, to: number} | null}
 */
export function changeWeight(text, from, to, by) {
  const whole = weighted(text, from, to);
  if (whole) return putWeight(text, whole.from, whole.to, whole.words, whole.weight + by);
  let [start, end] = [from, to];
  if (start === end) {
    while (start > 0 && /[^\s,.()[\]{}:;|<>\\]/.test(text[start - 1] ?? '')) start -= 1;
    while (end < text.length && /[^\s,.()[\]{}:;|<>\\]/.test(text[end] ?? '')) end += 1;
  }
  while (start < end && /\s/.test(text[start] ?? '')) start += 1;
  while (end > start && /\s/.test(text[end - 1] ?? '')) end -= 1;
  return start < end ? putWeight(text, start, end, text.slice(start, end), 1 + by) : null;
}

/**
 * The innermost `(words:1.1)` or `(words)` around a selection.
 * @param {string} text
 * @param {number} from
 * @param {number} to
 */
function weighted(text, from, to) {
  const start = opening(text, from, to);
  if (start < 0) return null;
  const end = closing(text, start);
  if (end < to - 1) return null;
  const inside = text.slice(start + 1, end);
  const match = /^([\s\S]*):\s*([-+]?(?:\d+\.?\d*|\.\d+))\s*$/.exec(inside);
  return { from: start, to: end + 1, words: match ? match[1] ?? '' : inside, weight: match ? Number(match[2]) : 1.1 };
}

/**
 * @param {string} text
 * @param {number} from
 * @param {number} to
 */
function opening(text, from, to) {
  // The whole of `(words:1.1)` may be selected, its parentheses with it.
  if (to > from && text[from] === '(' && text[from - 1] !== '\\' && closing(text, from) === to - 1) return from;
  let depth = 0;
  for (let i = from - 1; i >= 0; i -= 1) {
    if (text[i - 1] === '\\') continue;
    if (text[i] === ')') depth += 1;
    else if (text[i] === '(') {
      if (depth === 0) return closing(text, i) >= to ? i : -1;
      depth -= 1;
    }
  }
  return -1;
}

/**
 * Where the parenthesis closes that opens at a place; -1 if it does not.
 * @param {string} text
 * @param {number} start
 */
function closing(text, start) {
  let depth = 0;
  for (let i = start; i < text.length; i += 1) {
    if (text[i] === '\\') i += 1;
    else if (text[i] === '(') depth += 1;
    else if (text[i] === ')' && (depth -= 1) === 0) return i;
  }
  return -1;
}

/**
 * @param {string} text
 * @param {number} from
 * @param {number} to
 * @param {string} words
 * @param {number} weight
 */
function putWeight(text, from, to, words, weight) {
  const rounded = Math.max(0, Math.round(weight * 100) / 100);
  const put = rounded === 1 ? words : `(${words}:${rounded.toFixed(2).replace(/0$/, '')})`;
  const inner = rounded === 1 ? from : from + 1;
  return { text: text.slice(0, from) + put + text.slice(to), from: inner, to: inner + words.length };
}

/**
 * What is being typed that can be completed: the name of an embedding after `embedding:`, of a parameter after `${`.
 * @param {string} text
 * @param {number} caret
 * @returns {{kind: 'embedding' | 'param', from: number, typed: string} | null}
 */
export function completionAt(text, caret) {
  const before = text.slice(0, caret);
  const param = /\$\{([A-Za-z0-9_-]*)$/.exec(before);
  if (param && (/\$*$/.exec(before.slice(0, param.index))?.[0].length ?? 0) % 2 === 0) {
    return { kind: 'param', from: caret - (param[1] ?? '').length, typed: param[1] ?? '' };
  }
  const embedding = /(?:^|[\s,(:])embedding:([^\s,():]*)$/i.exec(before);
  if (embedding) return { kind: 'embedding', from: caret - (embedding[1] ?? '').length, typed: embedding[1] ?? '' };
  return null;
}
