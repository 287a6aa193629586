/**
 * Which node types somebody means who types a few letters.
 *
 * @module
 */

/** @import {NodeSpec} from '../../model/types.js' */
import { aliasesOf } from './aliases.js';

/** @typedef {{spec: NodeSpec, score: number}} Found */

/**
 * The types that all the words fit, the best first; those that were used lately are somewhat better, and so are common ones. Without words, those
 * used lately and then all by name.
 * @param {Iterable<NodeSpec>} specs
 * @param {string} typed
 * @param {readonly string[]} [recent] the latest first
 * @returns {NodeSpec[]}
 */
export function rank(specs, typed, recent = []) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const lately = new Map(recent.map((name, i) => [name, i]));
  const found = [...specs].flatMap((spec) => {
    const score = words.length ? scoreOf(spec, words) : 1;
    const at = lately.get(spec.name);
    if (score === 0) return [];
    const bonus = at === undefined ? 0 : words.length ? 12 - Math.min(at, 10) : 1000 - at;
    return [{ spec, score: score + bonus + (aliasesOf(spec.name).length ? 3 : 0) - (spec.deprecated ? 15 : 0) - (spec.experimental ? 4 : 0) }];
  });
  const length = (/** @type {NodeSpec} */ spec) => Math.min(spec.name.length, shown(spec).length);
  const byLength = (/** @type {NodeSpec} */ a, /** @type {NodeSpec} */ b) => (words.length ? length(a) - length(b) : 0);
  found.sort((a, b) => b.score - a.score || byLength(a.spec, b.spec) || shown(a.spec).localeCompare(shown(b.spec)));
  return found.map(({ spec }) => spec);
}

/** @param {NodeSpec} spec */
export function shown(spec) {
  return spec.display_name || spec.name;
}

/**
 * @param {NodeSpec} spec
 * @param {readonly string[]} words
 */
function scoreOf(spec, words) {
  let sum = 0;
  const whole = words.join(' ');
  for (const word of words) {
    const best = Math.max(
      scoreIn(shown(spec), word, 100, true), scoreIn(spec.name, word, 95, true), ...aliasesOf(spec.name).map((alias) => scoreIn(alias, word, 70, false)),
      scoreIn(spec.category, word, 35, false), scoreIn(spec.description, word, 20, false), scoreIn(spec.pack, word, 15, false),
    );
    if (best === 0) return 0;
    sum += best;
  }
  const names = [shown(spec).toLowerCase(), spec.name.toLowerCase()];
  return sum / words.length + (names.includes(whole) ? 60 : names.some((name) => name.startsWith(whole)) ? 20 : 0);
}

/**
 * How well a word fits a text, up to `most`. With `loose`, letters that stand apart in it fit too: `ktxt`, `cte`.
 * @param {string} text
 * @param {string} word
 * @param {number} most
 * @param {boolean} loose
 */
export function scoreIn(text, word, most, loose) {
  const lower = text.toLowerCase();
  const at = lower.indexOf(word);
  if (at === 0) return most * (lower.length === word.length ? 1 : 0.9);
  if (at > 0) return most * (startsWord(text, at) || new RegExp(`[^\\p{L}\\p{N}]${escapeRegExp(word)}`, 'u').test(lower) ? 0.8 : 0.55);
  if (!loose || word.length < 2) return 0;
  const close = Math.max(...initials(text).map((letters) => (letters === word ? 0.7 : letters.startsWith(word) ? 0.62 : letters.includes(word) ? 0.5 : 0)));
  if (close > 0) return most * close;
  return apart(lower, word) * most * 0.35;
}

/** @param {string} text */
function escapeRegExp(text) {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/** @param {string} text @param {number} at */
function startsWord(text, at) {
  return /[^A-Za-z0-9]/.test(text[at - 1] ?? ' ') || (/[a-z0-9]/.test(text[at - 1] ?? '') && /[A-Z]/.test(text[at] ?? ''));
}

/** The first letters of the words of a name, and those with short forms whole: `cte` and `clipte`. @param {string} text */
function initials(text) {
  const words = text.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? [];
  return [words.map((word) => word[0]), words.map((word) => (/^[A-Z]+$/.test(word) ? word : word[0]))].map((letters) => letters.join('').toLowerCase());
}

/**
 * How close together the letters of a word stand in a text, in order; 0 if they do not, 1 side by side.
 * @param {string} text
 * @param {string} word
 */
function apart(text, word) {
  let [from, first] = [0, -1];
  for (const letter of word) {
    const at = text.indexOf(letter, from);
    if (at < 0) return 0;
    if (first < 0) first = at;
    from = at + 1;
  }
  const spread = (from - first) / word.length;
  return spread > 3 ? 0 : 1 / spread;
}
