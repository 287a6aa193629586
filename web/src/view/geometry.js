/**
 * How large a node is and where its rows and sockets are. Nothing is measured: rows have fixed heights, so that nodes that
 * are not on the page have correct link ends too. Units are those of the canvas.
 *
 * From top to bottom: the header; a row for each input that takes links, with the outputs beside them; a row for each
 * widget; the pictures that the node shows. Boxes of texts share what height is left.
 *
 * @module
 */

/** @import {Graph, InputSpec, Node, NodeSpec, Place, Point} from '../model/types.js' */
import { isWidget } from '../model/catalogue.js';

export const HEADER = 30;
export const ROW = 24;
const PAD = 8;
const WIDTH = 230;
const WIDE = 340;
export const MIN_WIDTH = 140;
const PREVIEW = 200;
export const GRID = 10;

/** @typedef {'number' | 'seed' | 'text' | 'prompt' | 'combo' | 'toggle' | 'image' | 'colour' | 'value'} WidgetKind */

/** @type {Partial<Record<WidgetKind, number>>} */
const HEIGHTS = { prompt: 92, image: 176 };

/**
 * A row: an input and an output side by side, or a widget. `y` counts from the node's top edge.
 * @typedef {{
 *   readonly y: number, readonly height: number, readonly input: InputSpec | null, readonly output: number | null,
 *   readonly widget: WidgetKind | null,
 * }} Row
 */

/**
 * @typedef {{
 *   readonly width: number, readonly height: number, readonly rows: readonly Row[], readonly collapsed: boolean,
 *   readonly preview: {readonly y: number, readonly height: number} | null,
 * }} Layout
 */

/**
 * Which widget edits an input.
 * @param {InputSpec} input
 * @returns {WidgetKind}
 */
export function widgetKind(input) {
  if (input.upload) return 'image';
  if (input.choices || input.type === 'COMBO') return 'combo';
  if (input.options?.colour || input.options?.color) return 'colour';
  if (input.control) return 'seed';
  if (input.type === 'BOOLEAN') return 'toggle';
  if (input.type.split(' | ').some((name) => name === 'INT' || name === 'FLOAT')) return 'number';
  if (input.type === 'STRING') return input.multiline ? 'prompt' : 'text';
  return 'value';
}

/**
 * The rows and the size of a node.
 * @param {NodeSpec} spec
 * @param {Node} node
 * @param {Place} place
 * @param {boolean} hasPictures whether it shows pictures below its widgets
 * @returns {Layout}
 */
export function layoutNode(spec, node, place, hasPictures = false) {
  const inputs = inputsOf(spec, node);
  const plain = inputs.filter((input) => !isWidget(input));
  const widgets = inputs.filter(isWidget);
  const wide = widgets.some((input) => HEIGHTS[widgetKind(input)] !== undefined);
  const width = Math.max(MIN_WIDTH, place.width ?? (wide ? WIDE : WIDTH));
  if (place.collapsed) return { width: Math.min(width, WIDTH), height: HEADER, rows: [], collapsed: true, preview: null };
  /** @type {Row[]} */
  const rows = [];
  let y = HEADER + PAD / 2;
  for (let i = 0; i < Math.max(plain.length, spec.outputs.length); i += 1) {
    rows.push({ y, height: ROW, input: plain[i] ?? null, output: i < spec.outputs.length ? i : null, widget: null });
    y += ROW;
  }
  const least = y + widgets.reduce((sum, input) => sum + (HEIGHTS[widgetKind(input)] ?? ROW), 0) + PAD + (hasPictures ? PREVIEW : 0);
  const height = Math.max(least, place.height ?? 0);
  const tall = widgets.filter((input) => HEIGHTS[widgetKind(input)] !== undefined).length;
  const spare = height - least;
  const share = tall && !hasPictures ? Math.floor(spare / tall) : 0;
  for (const input of widgets) {
    const kind = widgetKind(input);
    const own = HEIGHTS[kind] === undefined ? ROW : /** @type {number} */ (HEIGHTS[kind]) + share;
    rows.push({ y, height: own, input, output: null, widget: kind });
    y += own;
  }
  return { width, height, rows, collapsed: false, preview: hasPictures ? { y: y + PAD / 2, height: height - y - PAD } : null };
}

/**
 * The inputs that a node has: those of its type, and what the file gives beyond them.
 * @param {NodeSpec} spec
 * @param {Node} node
 * @returns {InputSpec[]}
 */
export function inputsOf(spec, node) {
  const known = new Set(spec.inputs.map((input) => input.name));
  const strange = [...node.inputs.keys()].filter((name) => !known.has(name));
  return strange.length ? [...spec.inputs, ...strange.map((name) => ({ name, type: '*', required: false, widget: false }))] : spec.inputs;
}

/**
 * Where the socket of an input is, from the node's corner.
 * @param {Layout} layout
 * @param {string} name
 * @returns {Point}
 */
export function inputAt(layout, name) {
  const row = layout.rows.find(({ input }) => input?.name === name);
  return { x: 0, y: row ? row.y + ROW / 2 : HEADER / 2 };
}

/**
 * Where the socket of an output is, from the node's corner.
 * @param {Layout} layout
 * @param {number} index
 * @returns {Point}
 */
export function outputAt(layout, index) {
  const row = layout.rows.find(({ output }) => output === index);
  return { x: layout.width, y: row ? row.y + ROW / 2 : HEADER / 2 };
}

/**
 * The smallest box around boxes; null around none.
 * @param {Iterable<{x: number, y: number, width: number, height: number}>} boxes
 */
export function around(boxes) {
  let [left, top, right, bottom] = [Infinity, Infinity, -Infinity, -Infinity];
  for (const box of boxes) {
    left = Math.min(left, box.x);
    top = Math.min(top, box.y);
    right = Math.max(right, box.x + box.width);
    bottom = Math.max(bottom, box.y + box.height);
  }
  return left <= right ? { x: left, y: top, width: right - left, height: bottom - top } : null;
}

/**
 * @param {Graph} graph
 * @param {string} id
 * @returns {Place}
 */
export function placeOf(graph, id) {
  return graph.places.get(id) ?? { x: 0, y: 0 };
}
