/**
 * The lines that links are drawn as: from a socket over the points of the link to the other socket.
 *
 * @module
 */

/** @import {Point} from '../model/types.js' */

/** @typedef {'curved' | 'straight'} Form */

/**
 * How far the handles of a curve reach out.
 * @param {Point} a
 * @param {Point} b
 */
function reach(a, b) {
  const across = Math.abs(b.x - a.x);
  const down = Math.abs(b.y - a.y);
  return Math.min(220, Math.max(Math.min(40, across + down), across / 2, b.x < a.x ? down / 3 : 0));
}

/**
 * Add a link to a path.
 * @param {CanvasRenderingContext2D | Path2D} path
 * @param {readonly Point[]} stops
 * @param {Form} form
 */
export function trace(path, stops, form) {
  const first = /** @type {Point} */ (stops[0]);
  path.moveTo(first.x, first.y);
  for (let i = 1; i < stops.length; i += 1) {
    const a = /** @type {Point} */ (stops[i - 1]);
    const b = /** @type {Point} */ (stops[i]);
    if (form === 'straight') path.lineTo(b.x, b.y);
    else {
      const out = reach(a, b);
      path.bezierCurveTo(a.x + out, a.y, b.x - out, b.y, b.x, b.y);
    }
  }
}

/**
 * The point at a share of the way between two stops.
 * @param {Point} a
 * @param {Point} b
 * @param {number} share
 * @param {Form} form
 * @returns {Point}
 */
export function along(a, b, share, form) {
  const back = 1 - share;
  if (form === 'straight') return { x: a.x * back + b.x * share, y: a.y * back + b.y * share };
  const out = reach(a, b);
  const [p, q, r, s] = [back ** 3, 3 * back * back * share, 3 * back * share * share, share ** 3];
  return { x: p * a.x + q * (a.x + out) + r * (b.x - out) + s * b.x, y: (p + q) * a.y + (r + s) * b.y };
}

/**
 * The middle of a link, where its dot is.
 * @param {readonly Point[]} stops
 * @param {Form} form
 * @returns {Point}
 */
export function middle(stops, form) {
  const at = Math.floor((stops.length - 1) / 2);
  const even = stops.length % 2 === 1;
  const a = /** @type {Point} */ (stops[at]);
  return even ? a : along(a, /** @type {Point} */ (stops[at + 1]), 0.5, form);
}

/**
 * How near a point is to a link, and behind which of its stops.
 * @param {readonly Point[]} stops
 * @param {Form} form
 * @param {Point} point
 * @returns {{distance: number, after: number}}
 */
export function nearest(stops, form, point) {
  let best = { distance: Infinity, after: 0 };
  for (let i = 1; i < stops.length; i += 1) {
    const a = /** @type {Point} */ (stops[i - 1]);
    const b = /** @type {Point} */ (stops[i]);
    const steps = form === 'straight' ? 1 : 20;
    let from = a;
    for (let step = 1; step <= steps; step += 1) {
      const to = along(a, b, step / steps, form);
      const distance = toSegment(point, from, to);
      if (distance < best.distance) best = { distance, after: i - 1 };
      from = to;
    }
  }
  return best;
}

/**
 * @param {Point} p
 * @param {Point} a
 * @param {Point} b
 */
function toSegment(p, a, b) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = dx * dx + dy * dy;
  const share = length ? Math.min(1, Math.max(0, ((p.x - a.x) * dx + (p.y - a.y) * dy) / length)) : 0;
  return Math.hypot(p.x - a.x - share * dx, p.y - a.y - share * dy);
}
