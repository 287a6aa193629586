/**
 * Values as YAML text that any reader of YAML 1.2 takes for the same.
 *
 * @module
 */

/** @import {Graph, Node, Param, Place, Raw, Scalar} from './types.js' */
import { escaped } from './values.js';

const WORDS = /^(?:~|null|Null|NULL|true|True|TRUE|false|False|FALSE|\.inf|\.Inf|\.INF|[-+]\.inf|\.nan|\.NaN|\.NAN)$/;
const NUMBER = /^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?)$/;
// What older readers take for something else, though ours do not; quotes cost nothing.
const OLD_WORDS = /^(?:y|n|yes|no|on|off|[-+]?[0-9_,.]+(?::[0-9_.]+)+|[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}.*|<<|=)$/i;
const PLAIN_START = /^[^\s\-?:,[\]{}#&*!|>'"%@`]|^[-?:](?=[^\s,[\]{}])/;
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

/**
 * A scalar on one line.
 * @param {Scalar} value
 * @param {{flow?: boolean, quote?: string}} [style] quote: the mark that the former value had
 * @returns {string}
 */
export function renderScalar(value, { flow = false, quote = '' } = {}) {
  if (value === null) return 'null';
  if (typeof value !== 'string') return renderNumber(value);
  if (quote === "'" && !/[\n\r\t]/.test(value) && !UNSAFE.test(value)) return `'${value.replaceAll("'", "''")}'`;
  return quote !== '"' && isPlain(value, flow) ? value : quoted(value);
}

/** @param {boolean | number | bigint} value */
function renderNumber(value) {
  if (typeof value === 'number' && !Number.isFinite(value)) return Number.isNaN(value) ? '.nan' : value > 0 ? '.inf' : '-.inf';
  return Object.is(value, -0) ? '-0.0' : String(value);
}

/**
 * Whether a text can stand without quotes.
 * @param {string} text
 * @param {boolean} flow
 */
function isPlain(text, flow) {
  return PLAIN_START.test(text) && text.trim() === text && !/[\n\r\t]/.test(text) && !UNSAFE.test(text)
    && !/: |:$| #/.test(text) && !/^(?:---|\.\.\.)/.test(text)
    && !(flow && /[,[\]{}]|:["']/.test(text))
    && !WORDS.test(text) && !NUMBER.test(text) && !OLD_WORDS.test(text);
}

/** @param {string} text */
function quoted(text) {
  return JSON.stringify(text).replace(/[\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

/**
 * A value on one line.
 * @param {Raw} value
 * @param {{flow?: boolean, quote?: string}} [style]
 * @returns {string}
 */
export function renderInline(value, style = {}) {
  if (Array.isArray(value)) return `[${value.map((item) => renderInline(item, { flow: true })).join(', ')}]`;
  if (value instanceof Map) {
    const pairs = [...value].map(([key, item]) => `${renderScalar(String(key), { flow: true })}: ${renderInline(item, { flow: true })}`);
    return `{${pairs.join(', ')}}`;
  }
  return renderScalar(/** @type {Scalar} */ (value), style);
}

/**
 * A value after `key:` in a block, with the space or line break that goes before it. Texts of several lines become
 * literal blocks where that keeps every character.
 * @param {Raw} value
 * @param {number} indent column of the key
 * @param {string} [quote]
 * @returns {string}
 */
export function renderAfterKey(value, indent, quote = '') {
  if (typeof value === 'string' && value.includes('\n') && canBeBlock(value)) return ` ${blockText(value, indent + 2)}`;
  return ` ${renderInline(value, { quote })}`;
}

/** @param {string} text */
function canBeBlock(text) {
  return !UNSAFE.test(text) && !/[\r\t]/.test(text) && !/^[ \n]/.test(text) && !/\n\n$/.test(text) && !/ \n| $/.test(text) && text.trim() !== '';
}

/**
 * @param {string} text
 * @param {number} indent
 */
function blockText(text, indent) {
  const ends = text.endsWith('\n');
  const lines = (ends ? text.slice(0, -1) : text).split('\n');
  return `${ends ? '|' : '|-'}\n${lines.map((line) => (line ? ' '.repeat(indent) + line : '')).join('\n')}`;
}

/**
 * A node as a block pair, without the indent of its first line.
 * @param {Node} node
 * @param {number} indent column of its name
 * @returns {string}
 */
export function renderNode(node, indent) {
  const pad = ' '.repeat(indent + 2);
  const lines = [`${node.id}:`, `${pad}uses:${renderAfterKey(node.uses, indent + 2)}`];
  for (const key of /** @type {const} */ (['title', 'note'])) {
    if (node[key] !== null) lines.push(`${pad}${key}:${renderAfterKey(node[key], indent + 2)}`);
  }
  if (node.mode !== 'run') lines.push(`${pad}mode: ${node.mode}`);
  if (node.inputs.size) lines.push(`${pad}${renderWith(node.inputs, indent + 2)}`);
  for (const [key, value] of node.extra) lines.push(`${pad}${renderScalar(key)}:${renderAfterKey(value, indent + 2)}`);
  return lines.join('\n');
}

/**
 * `with:` and what a node is given: on one line if that is short.
 * @param {ReadonlyMap<string, Raw>} inputs
 * @param {number} indent column of `with`
 * @returns {string}
 */
export function renderWith(inputs, indent) {
  const line = `with: ${renderInline(/** @type {Raw} */ (inputs))}`;
  const isLong = indent + line.length > 100 || [...inputs.values()].some((v) => typeof v === 'string' && v.includes('\n'));
  if (!isLong) return line;
  const pad = ' '.repeat(indent + 2);
  return ['with:', ...[...inputs].map(([key, value]) => `${pad}${renderScalar(key)}:${renderAfterKey(value, indent + 2)}`)].join('\n');
}

/**
 * The declaration of a parameter after its name.
 * @param {Param} param
 * @returns {Raw}
 */
export function paramRaw(param) {
  if (!param.long && param.value !== undefined) return escaped(param.value);
  /** @type {Map<string, Raw>} */
  const map = new Map([['type', /** @type {Raw} */ (param.type)]]);
  if (param.value !== undefined) map.set('default', escaped(param.value));
  for (const key of /** @type {const} */ (['min', 'max', 'choices', 'description'])) {
    const value = param[key];
    if (value !== undefined) map.set(key, Array.isArray(value) ? value.map(escaped) : /** @type {Raw} */ (value));
  }
  return map;
}

/**
 * The value of a parameter on one line; a decimal one stays decimal.
 * @param {Param} param
 * @param {{flow?: boolean, quote?: string}} [style]
 */
export function renderParamValue(param, style = {}) {
  if (param.type === 'FLOAT' && typeof param.value === 'number' && Number.isInteger(param.value) && Math.abs(param.value) < 1e21) {
    return `${param.value}.0`;
  }
  return renderInline(escaped(param.value ?? null), style);
}

/**
 * A place as the layout of a file writes it: `[x, y]` where that is enough.
 * @param {Place} place
 * @returns {Raw}
 */
export function placeRaw(place) {
  const at = [round(place.x), round(place.y)];
  const sized = place.width !== undefined && place.height !== undefined;
  const size = sized ? [round(/** @type {number} */ (place.width)), round(/** @type {number} */ (place.height))] : [];
  if (!place.collapsed && !place.pinned && place.colour === undefined) return [...at, ...size];
  /** @type {Map<string, Raw>} */
  const map = new Map([['at', /** @type {Raw} */ (at)]]);
  if (sized) map.set('size', size);
  if (place.collapsed) map.set('collapsed', true);
  if (place.pinned) map.set('pinned', true);
  if (place.colour !== undefined) map.set('colour', place.colour);
  return map;
}

/**
 * Coordinates are written as whole units.
 * @param {number} value
 */
export function round(value) {
  return Math.round(value) || 0;
}
