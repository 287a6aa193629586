/**
 * Values as a file writes them: what `$` means in a text, and when two values are the same.
 *
 * @module
 */

/** @import {ParamType, Raw, Ref, Scalar} from './types.js' */

export const NAME = /^[A-Za-z_][A-Za-z0-9_-]{0,63}$/;
const REFERENCE = /^\$([A-Za-z_][A-Za-z0-9_-]{0,63})(?:\.([A-Za-z0-9_][A-Za-z0-9_-]{0,99}))?$/;
const PIECE = /\$(?:\$|\{([A-Za-z_][A-Za-z0-9_-]{0,63})\})/g;
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

/**
 * Whether a text may be the name of a node or parameter.
 * @param {string} name
 */
export function isName(name) {
  return NAME.test(name) && !FORBIDDEN.has(name);
}

/**
 * The reference that a value is, `$name` or `$name.output`, or null.
 * @param {Raw | undefined} value
 * @returns {Ref | null}
 */
export function refOf(value) {
  if (typeof value !== 'string' || value[0] !== '$') return null;
  const match = REFERENCE.exec(value);
  return match ? { name: /** @type {string} */ (match[1]), output: match[2] ?? null } : null;
}

/**
 * A reference as a file writes it.
 * @param {string} name
 * @param {string | null} [output]
 */
export function writeRef(name, output = null) {
  return output === null ? `$${name}` : `$${name}.${output}`;
}

/**
 * All references in a value: whole ones, those in lists and mappings, and `${name}` inside texts.
 * @param {Raw | undefined} value
 * @returns {Ref[]}
 */
export function refsIn(value) {
  if (typeof value === 'string') {
    const whole = refOf(value);
    if (whole) return [whole];
    return [...value.matchAll(PIECE)].filter((m) => m[1]).map((m) => ({ name: /** @type {string} */ (m[1]), output: null }));
  }
  if (Array.isArray(value)) return value.flatMap(refsIn);
  if (value instanceof Map) return [...value.values()].flatMap(refsIn);
  return [];
}

/**
 * The value with other names in its references.
 * @template {Raw | undefined} T
 * @param {T} value
 * @param {(ref: Ref) => Ref} change
 * @returns {T}
 */
export function mapRefs(value, change) {
  if (typeof value === 'string') return /** @type {T} */ (mapText(value, change));
  if (Array.isArray(value)) {
    const items = value.map((item) => mapRefs(item, change));
    return items.every((item, i) => item === value[i]) ? value : /** @type {T} */ (/** @type {unknown} */ (items));
  }
  if (value instanceof Map) {
    const map = /** @type {ReadonlyMap<string, Raw>} */ (value);
    const entries = new Map([...map].map(([key, item]) => [key, mapRefs(item, change)]));
    return [...entries].every(([key, item]) => item === map.get(key)) ? value : /** @type {T} */ (/** @type {unknown} */ (entries));
  }
  return value;
}

/**
 * @param {string} text
 * @param {(ref: Ref) => Ref} change
 */
function mapText(text, change) {
  const whole = refOf(text);
  if (whole) {
    const other = change(whole);
    return writeRef(other.name, other.output);
  }
  return text.replace(PIECE, (piece, name) => (name ? `\${${change({ name, output: null }).name}}` : piece));
}

/**
 * The text that somebody reads for a raw one without references: `$$` is `$`.
 * @param {string} raw
 */
export function unescape(raw) {
  return raw.replaceAll('$$', '$');
}

/**
 * The raw text for a literal one.
 * @param {string} text
 */
export function escape(text) {
  return text.replaceAll('$', '$$$$');
}

/**
 * The raw value for one that is meant as it stands.
 * @template {Raw | undefined} T
 * @param {T} value
 * @returns {T}
 */
export function escaped(value) {
  return typeof value === 'string' ? /** @type {T} */ (escape(value)) : value;
}

/**
 * What is meant by a raw value without references.
 * @template {Raw | undefined} T
 * @param {T} raw
 * @returns {T}
 */
export function plain(raw) {
  return typeof raw === 'string' ? /** @type {T} */ (unescape(raw)) : raw;
}

/**
 * Whether two values are the same. A number and a bigint of the same worth are.
 * @param {Raw | undefined} a
 * @param {Raw | undefined} b
 * @returns {boolean}
 */
export function same(a, b) {
  if (Object.is(a, b)) return true;
  if (typeof a === 'bigint' || typeof b === 'bigint') return isNumber(a) && isNumber(b) && a == b;
  if (Array.isArray(a) && Array.isArray(b)) return a.length === b.length && a.every((item, i) => same(item, b[i]));
  if (a instanceof Map && b instanceof Map) {
    if (a.size !== b.size) return false;
    const keys = [...b.keys()];
    return [...a].every(([key, item], i) => key === keys[i] && same(item, b.get(key)));
  }
  return false;
}

/**
 * @param {unknown} value
 * @returns {value is number | bigint}
 */
export function isNumber(value) {
  return typeof value === 'number' || typeof value === 'bigint';
}

/**
 * A name that is not taken yet: `stem`, or `stem_2`, `stem_3` …
 * @param {string} stem
 * @param {{has: (name: string) => boolean}[]} taken
 */
export function freeName(stem, ...taken) {
  const clean = stem.replace(/[^A-Za-z0-9_-]/g, '_').slice(0, 56);
  const base = isName(clean) ? clean : `n${clean}`.slice(0, 56);
  const isTaken = (/** @type {string} */ name) => taken.some((names) => names.has(name));
  if (!isTaken(base)) return base;
  const root = base.replace(/_\d+$/, '');
  for (let number = 2; ; number += 1) {
    const name = `${root}_${number}`;
    if (!isTaken(name)) return name;
  }
}

/**
 * The type of a parameter whose default this is.
 * @param {Scalar} value
 * @returns {ParamType}
 */
export function typeOf(value) {
  if (typeof value === 'bigint') return 'INT';
  if (typeof value === 'number') return Number.isInteger(value) ? 'INT' : 'FLOAT';
  return typeof value === 'string' ? 'STRING' : typeof value === 'boolean' ? 'BOOLEAN' : 'ANY';
}
