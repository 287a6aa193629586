/**
 * While something is dragged near an edge of the canvas, the canvas moves along.
 *
 * @module
 */

/** @import {Stage} from '../view/stage.js' */
import { panBy } from '../view/camera.js';

const EDGE = 28;
const SPEED = 12;

/**
 * @param {Stage} stage
 * @param {(event: PointerEvent) => void} again called after each step, with where the pointer still is
 */
export function createEdges(stage, again) {
  let request = 0;
  /** @type {PointerEvent | null} */
  let latest = null;
  const step = () => {
    request = 0;
    if (!latest) return;
    const [dx, dy] = [push(latest.clientX - stage.left, stage.width), push(latest.clientY - stage.top, stage.height)];
    if (dx === 0 && dy === 0) return;
    stage.app.camera.update((camera) => panBy(camera, dx, dy));
    again(latest);
  };
  return {
    /** @param {PointerEvent} event */
    follow(event) {
      latest = event;
      request ||= requestAnimationFrame(step);
    },
    stop() {
      latest = null;
      cancelAnimationFrame(request);
      request = 0;
    },
  };
}

/**
 * @param {number} at
 * @param {number} size
 */
function push(at, size) {
  if (at < EDGE) return SPEED * Math.min(1, (EDGE - at) / EDGE);
  if (at > size - EDGE) return -SPEED * Math.min(1, (at - size + EDGE) / EDGE);
  return 0;
}
