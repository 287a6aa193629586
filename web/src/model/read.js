/**
 * Text → Graph, and where in the text everything stands.
 *
 * @module
 */

/** @import {Graph, Group, Mode, Node, Note, Param, ParamType, Place, Point, Problem, Raw, Scalar} from './types.js' */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument } from '../../vendor/yaml.js';
import { EMPTY_GRAPH, newUid } from './graph.js';
import { isNumber, plain, typeOf } from './values.js';

/**
 * Where a pair of a mapping stands: its key, its value, and the end of what belongs to it. `quote` is the mark that the
 * value begins with, `block` whether it is a literal or folded text.
 * @typedef {{
 *   keyFrom: number, keyTo: number, valueFrom: number, valueTo: number, empty: boolean, quote: string, block: boolean,
 *   map: MapIndex | null,
 * }} PairIndex
 */

/** @typedef {{flow: boolean, from: number, to: number, indent: number, pairs: Map<string, PairIndex>}} MapIndex */

/**
 * A text as it was read. `graph` is null if the text is no workflow; `problems` then says why. Lines and columns count
 * from one.
 * @typedef {{text: string, graph: Graph | null, index: MapIndex | null, problems: Problem[]}} ReadText
 */

const NODE_KEYS = new Set(['uses', 'with', 'title', 'note', 'mode']);
const ROOT_KEYS = new Set(['nodegraph', 'name', 'description', 'params', 'nodes', 'outputs', 'groups', 'notes', 'layout']);
const MODES = new Set(['run', 'muted', 'bypassed']);
const MAX_TEXT = 8 << 20;

/**
 * Read a workflow.
 * @param {string} text
 * @param {Graph | null} [before] whose nodes keep their `uid` if they are still called the same
 * @returns {ReadText}
 */
export function readText(text, before = null) {
  if (text.length > MAX_TEXT) return failed(text, [{ code: 'too_large', message: 'the text is too large to be edited here' }]);
  const lines = new LineCounter();
  const doc = parseDocument(text, { version: '1.2', schema: 'core', intAsBigInt: true, lineCounter: lines, merge: false, uniqueKeys: true });
  if (doc.errors.length) {
    return failed(text, doc.errors.map((error) => {
      const { line, col } = lines.linePos(error.pos[0]);
      const message = error.message.split('\n')[0] ?? '';
      return { code: 'yaml_syntax', message: message.replace(/ at line \d+, column \d+:?$/, ''), line, column: col };
    }));
  }
  if (doc.contents === null) return { text, graph: EMPTY_GRAPH, index: null, problems: [] };
  /** @type {Raw} */
  let root;
  try {
    root = toRaw(doc.contents, doc);
  } catch {
    return failed(text, [{ code: 'yaml_syntax', message: 'an alias cannot be followed', line: 1, column: 1 }]);
  }
  if (!(root instanceof Map)) {
    return failed(text, [{ code: 'not_a_workflow', message: "a workflow is a mapping with the key 'nodes'", line: 1, column: 1 }]);
  }
  return { text, graph: toGraph(root, before, decimals(doc.contents)), index: indexOf(doc.contents, text, 3), problems: [] };
}

/**
 * @param {string} text
 * @param {Problem[]} problems
 * @returns {ReadText}
 */
function failed(text, problems) {
  return { text, graph: null, index: null, problems };
}

/**
 * A node of the syntax tree as a value.
 * @param {any} node
 * @param {any} doc
 * @param {number} [depth]
 * @returns {Raw}
 */
function toRaw(node, doc, depth = 0) {
  if (depth > 60) throw new Error('nested too deeply');
  if (isAlias(node)) return toRaw(node.resolve(doc), doc, depth + 1);
  if (isSeq(node)) return node.items.map((/** @type {any} */ item) => toRaw(item, doc, depth + 1));
  if (isMap(node)) {
    return new Map(node.items.map((/** @type {any} */ pair) => [String(keyOf(pair)), toRaw(pair.value, doc, depth + 1)]));
  }
  const value = isScalar(node) ? node.value : null;
  if (typeof value === 'bigint') return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  return /** @type {Raw} */ (value ?? null);
}

/** @param {any} pair */
function keyOf(pair) {
  return isScalar(pair.key) ? pair.key.value : pair.key;
}

/**
 * The names of parameters whose default is written as a decimal number, as in `1.0`.
 * @param {any} root
 * @returns {Set<string>}
 */
function decimals(root) {
  const params = isMap(root) ? root.get('params', true) : null;
  const found = new Set();
  if (!isMap(params)) return found;
  for (const pair of params.items) {
    if (isScalar(pair.value) && typeof pair.value.value === 'number') found.add(String(keyOf(pair)));
  }
  return found;
}

/**
 * @param {ReadonlyMap<string, Raw>} root
 * @param {Graph | null} before
 * @param {Set<string>} decimal
 * @returns {Graph}
 */
function toGraph(root, before, decimal) {
  const layout = mapOf(root.get('layout'));
  return {
    name: textOf(root.get('name')),
    description: textOf(root.get('description')) ?? '',
    params: new Map([...mapOf(root.get('params'))].map(([name, value]) => [name, toParam(name, value, decimal.has(name))])),
    nodes: new Map([...mapOf(root.get('nodes'))].map(([id, value]) => [id, toNode(id, value, before)])),
    outputs: mapOf(root.get('outputs')),
    places: new Map([...layout].flatMap(([id, value]) => entry(id, id.includes('.') ? null : toPlace(value)))),
    points: new Map([...layout].flatMap(([key, value]) => entry(key, key.includes('.') ? toPoints(value) : null))),
    groups: new Map([...mapOf(root.get('groups'))].flatMap(([title, value]) => entry(title, toGroup(title, value)))),
    notes: new Map(listOf(root.get('notes')).map((value, i) => [`note:${i}`, toNote(`note:${i}`, mapOf(value))])),
    extra: new Map([...root].filter(([key]) => !ROOT_KEYS.has(key))),
  };
}

/**
 * @template T
 * @param {string} key
 * @param {T | null} value
 * @returns {[string, T][]}
 */
function entry(key, value) {
  return value === null ? [] : [[key, value]];
}

/**
 * @param {string} id
 * @param {Raw} value
 * @param {Graph | null} before
 * @returns {Node}
 */
function toNode(id, value, before) {
  const map = mapOf(value);
  const mode = textOf(map.get('mode')) ?? 'run';
  return {
    uid: before?.nodes.get(id)?.uid ?? newUid(),
    id,
    uses: textOf(map.get('uses')) ?? '',
    title: textOf(map.get('title')),
    note: textOf(map.get('note')),
    mode: /** @type {Mode} */ (MODES.has(mode) ? mode : 'run'),
    inputs: mapOf(map.get('with')),
    extra: new Map([...map].filter(([key]) => !NODE_KEYS.has(key))),
  };
}

/**
 * @param {string} name
 * @param {Raw} value
 * @param {boolean} decimal
 * @returns {Param}
 */
function toParam(name, value, decimal) {
  if (!(value instanceof Map)) {
    const scalar = /** @type {Scalar} */ (Array.isArray(value) ? null : value);
    return { name, type: decimal ? 'FLOAT' : typeOf(scalar), value: plain(scalar), long: false };
  }
  const given = /** @type {Scalar | undefined} */ (value.get('default'));
  const [min, max] = [value.get('min'), value.get('max')];
  const choices = value.get('choices');
  return {
    name,
    type: /** @type {ParamType} */ (textOf(value.get('type')) ?? typeOf(given ?? null)),
    value: given === undefined ? undefined : plain(given),
    ...(isNumber(min) ? { min: Number(min) } : {}),
    ...(isNumber(max) ? { max: Number(max) } : {}),
    ...(Array.isArray(choices) ? { choices: choices.map((choice) => plain(/** @type {Scalar} */ (choice))) } : {}),
    ...(value.has('description') ? { description: textOf(value.get('description')) ?? '' } : {}),
    long: true,
  };
}

/**
 * @param {Raw} value
 * @returns {Place | null}
 */
function toPlace(value) {
  if (value instanceof Map) {
    const [at, size] = [numbers(value.get('at')), numbers(value.get('size'))];
    // A node may say how it looks, and leave its place to whoever shows it.
    const colour = textOf(value.get('colour'));
    return {
      x: at[0] ?? 0, y: at[1] ?? 0,
      ...(at.length < 2 ? { auto: true, unplaced: true } : {}),
      ...(size.length === 2 ? { width: size[0], height: size[1] } : {}),
      ...(value.get('collapsed') === true ? { collapsed: true } : {}),
      ...(value.get('pinned') === true ? { pinned: true } : {}),
      ...(colour !== null ? { colour } : {}),
    };
  }
  const [x, y, width, height] = numbers(value);
  if (x === undefined || y === undefined) return null;
  return { x, y, ...(width !== undefined && height !== undefined ? { width, height } : {}) };
}

/**
 * @param {Raw} value
 * @returns {Point[]}
 */
function toPoints(value) {
  return listOf(value).map(numbers).filter((at) => at.length === 2).map(([x, y]) => ({ x: x ?? 0, y: y ?? 0 }));
}

/**
 * @param {string} title
 * @param {Raw} value
 * @returns {Group | null}
 */
function toGroup(title, value) {
  const map = value instanceof Map ? value : null;
  const [x, y, width, height] = map ? [...numbers(map.get('at')), ...numbers(map.get('size'))] : numbers(value);
  if (x === undefined || y === undefined || width === undefined || height === undefined) return null;
  const colour = textOf(map?.get('colour'));
  return { title, x, y, width, height, ...(colour !== null ? { colour } : {}) };
}

/**
 * @param {string} id
 * @param {ReadonlyMap<string, Raw>} map
 * @returns {Note}
 */
function toNote(id, map) {
  const [x = 0, y = 0] = numbers(map.get('at'));
  const [width = 200, height = 100] = numbers(map.get('size'));
  const [title, colour] = [textOf(map.get('title')), textOf(map.get('colour'))];
  return { id, ...(title !== null ? { title } : {}), text: textOf(map.get('text')) ?? '', x, y, width, height, ...(colour !== null ? { colour } : {}) };
}

/**
 * @param {Raw | undefined} value
 * @returns {number[]}
 */
function numbers(value) {
  return listOf(value).filter(isNumber).map(Number);
}

/**
 * @param {Raw | undefined} value
 * @returns {ReadonlyMap<string, Raw>}
 */
function mapOf(value) {
  return value instanceof Map ? value : new Map();
}

/**
 * @param {Raw | undefined} value
 * @returns {readonly Raw[]}
 */
function listOf(value) {
  return Array.isArray(value) ? value : [];
}

/**
 * @param {Raw | undefined} value
 * @returns {string | null}
 */
function textOf(value) {
  return value === null || value === undefined || typeof value === 'object' ? null : String(value);
}

/**
 * Where a mapping and, so many levels deep, the mappings in it stand.
 * @param {any} map
 * @param {string} text
 * @param {number} depth
 * @returns {MapIndex | null}
 */
function indexOf(map, text, depth) {
  if (!isMap(map) || !map.range) return null;
  /** @type {Map<string, PairIndex>} */
  const pairs = new Map();
  for (const pair of map.items) {
    const key = /** @type {any} */ (pair.key);
    if (!isScalar(key) || !key.range) continue;
    pairs.set(String(key.value), pairIndex(key, /** @type {any} */ (pair.value), text, depth));
  }
  const first = pairs.values().next().value;
  const from = map.range[0];
  const column = first ? first.keyFrom - (text.lastIndexOf('\n', first.keyFrom - 1) + 1) : 0;
  return { flow: text[from] === '{' && Boolean(map.flow), from, to: map.range[1], indent: column, pairs };
}

/**
 * @param {any} key
 * @param {any} value
 * @param {string} text
 * @param {number} depth
 * @returns {PairIndex}
 */
function pairIndex(key, value, text, depth) {
  const [keyFrom, keyTo] = key.range;
  const nested = depth > 0 ? indexOf(value, text, depth - 1) : null;
  const range = value?.range ?? null;
  const colon = text.indexOf(':', keyTo) + 1;
  if (!range || (isScalar(value) && range[0] === range[1])) {
    return { keyFrom, keyTo, valueFrom: colon, valueTo: colon, empty: true, quote: '', block: false, map: nested };
  }
  const block = isScalar(value) && /BLOCK/.test(String(/** @type {any} */ (value).type));
  const to = range[0] + text.slice(range[0], range[1]).trimEnd().length;
  // An anchor or a tag stands before the value's own range and goes with it.
  const before = text.slice(colon, range[0]);
  const props = /^\s*[&!]/.test(before) ? colon + (before.length - before.trimStart().length) : range[0];
  const quote = isScalar(value) && !block ? (/["']/.exec(text[range[0]] ?? '')?.[0] ?? '') : '';
  return { keyFrom, keyTo, valueFrom: props, valueTo: to, empty: false, quote, block, map: nested };
}
