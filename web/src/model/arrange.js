/**
 * Lining things up.
 *
 * @module
 */

/** @import {Graph} from './types.js' */
import { moveItems } from './graph.js';

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** @typedef {'left' | 'right' | 'top' | 'bottom' | 'center' | 'middle' | 'columns' | 'rows'} Alignment */

/**
 * Line items up along an edge or a middle, or spread them with equal gaps (`columns` from left to right, `rows` from top to
 * bottom).
 * @param {Graph} graph
 * @param {ReadonlyMap<string, Box>} boxes by item key
 * @param {Alignment} how
 * @returns {Graph}
 */
export function align(graph, boxes, how) {
  if (boxes.size < 2) return graph;
  if (how === 'columns') return spread(graph, boxes, 'x', 'width');
  if (how === 'rows') return spread(graph, boxes, 'y', 'height');
  const all = [...boxes.values()];
  const left = Math.min(...all.map((box) => box.x));
  const right = Math.max(...all.map((box) => box.x + box.width));
  const top = Math.min(...all.map((box) => box.y));
  const bottom = Math.max(...all.map((box) => box.y + box.height));
  let result = graph;
  for (const [key, box] of boxes) {
    const dx = { left: left - box.x, right: right - box.x - box.width, center: (left + right - box.width) / 2 - box.x }[/** @type {string} */ (how)] ?? 0;
    const dy = { top: top - box.y, bottom: bottom - box.y - box.height, middle: (top + bottom - box.height) / 2 - box.y }[/** @type {string} */ (how)] ?? 0;
    if (dx || dy) result = moveItems(result, [key], dx, dy);
  }
  return result;
}

/**
 * @param {Graph} graph
 * @param {ReadonlyMap<string, Box>} boxes
 * @param {'x' | 'y'} axis
 * @param {'width' | 'height'} size
 */
function spread(graph, boxes, axis, size) {
  const sorted = [...boxes].sort(([, a], [, b]) => a[axis] - b[axis]);
  const [first, last] = [/** @type {Box} */ (sorted[0]?.[1]), /** @type {Box} */ (sorted.at(-1)?.[1])];
  const space = last[axis] + last[size] - first[axis] - sorted.reduce((sum, [, box]) => sum + box[size], 0);
  const gap = Math.max(space / (sorted.length - 1), 20);
  let at = first[axis];
  let result = graph;
  for (const [key, box] of sorted) {
    const by = at - box[axis];
    if (by) result = moveItems(result, [key], axis === 'x' ? by : 0, axis === 'y' ? by : 0);
    at += box[size] + gap;
  }
  return result;
}
