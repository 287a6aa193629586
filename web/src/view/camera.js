/**
 * Where the canvas is looked at: sums on cameras, which are the canvas point at the stage's upper left corner and a scale.
 *
 * @module
 */

/** @import {Camera} from '../app.js' */
/** @import {Point} from '../model/types.js' */

const NEAREST = 4;
const FARTHEST = 0.05;

/** @typedef {{readonly x: number, readonly y: number, readonly width: number, readonly height: number}} Box */

/** @param {number} scale */
function clampScale(scale) {
  return Math.min(NEAREST, Math.max(FARTHEST, scale));
}

/**
 * The canvas point under a point of the stage.
 * @param {Camera} camera
 * @param {number} x
 * @param {number} y
 * @returns {Point}
 */
export function toCanvas(camera, x, y) {
  return { x: camera.x + x / camera.scale, y: camera.y + y / camera.scale };
}

/**
 * Another scale, with the canvas point under a point of the stage kept where it is.
 * @param {Camera} camera
 * @param {number} scale
 * @param {number} x
 * @param {number} y
 * @returns {Camera}
 */
export function zoomAt(camera, scale, x, y) {
  const to = clampScale(scale);
  const under = toCanvas(camera, x, y);
  return { x: under.x - x / to, y: under.y - y / to, scale: to };
}

/**
 * Moved by so many pixels of the stage.
 * @param {Camera} camera
 * @param {number} dx
 * @param {number} dy
 * @returns {Camera}
 */
export function panBy(camera, dx, dy) {
  return { ...camera, x: camera.x - dx / camera.scale, y: camera.y - dy / camera.scale };
}

/**
 * A camera that shows a whole box in the middle.
 * @param {Box} box
 * @param {{width: number, height: number}} stage
 * @param {number} [most] the largest scale
 * @returns {Camera}
 */
export function fit(box, stage, most = 1) {
  const margin = Math.min(60, stage.width / 10, stage.height / 10);
  const across = (stage.width - 2 * margin) / Math.max(1, box.width);
  const down = (stage.height - 2 * margin) / Math.max(1, box.height);
  const scale = clampScale(Math.min(most, across, down));
  return centre({ x: box.x + box.width / 2, y: box.y + box.height / 2 }, stage, scale);
}

/**
 * A camera with a canvas point in the middle of the stage.
 * @param {Point} point
 * @param {{width: number, height: number}} stage
 * @param {number} scale
 * @returns {Camera}
 */
export function centre(point, stage, scale) {
  return { x: point.x - stage.width / 2 / scale, y: point.y - stage.height / 2 / scale, scale };
}

/**
 * What of the canvas a stage shows.
 * @param {Camera} camera
 * @param {{width: number, height: number}} stage
 * @param {number} [margin] in pixels
 * @returns {Box}
 */
export function shownBy(camera, stage, margin = 0) {
  const more = margin / camera.scale;
  return {
    x: camera.x - more, y: camera.y - more,
    width: stage.width / camera.scale + 2 * more, height: stage.height / camera.scale + 2 * more,
  };
}

/**
 * Whether two boxes have something in common.
 * @param {Box} a
 * @param {Box} b
 */
export function overlap(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
