/**
 * Looking around: pan, zoom, pinch and the wheel.
 *
 * @module
 */

/** @import {Stage} from '../view/stage.js' */
/** @import {Gesture} from './pointer.js' */
import { panBy, zoomAt } from '../view/camera.js';

/**
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {boolean} [clears] whether a click takes the selection away
 * @returns {Gesture}
 */
export function panGesture(stage, start, clears = false) {
  const from = stage.camera;
  return {
    cursor: 'grabbing',
    move(event) {
      stage.app.camera.set(panBy(from, event.clientX - start.clientX, event.clientY - start.clientY));
    },
    end(event, moved) {
      if (moved || !clears) return;
      stage.mark(null);
      if (!event.shiftKey && !event.ctrlKey && !event.metaKey) stage.session.selection.set(new Set());
    },
    cancel: () => stage.app.camera.set(from),
  };
}

/**
 * Drag up to come nearer, down to go away.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @returns {Gesture}
 */
export function zoomGesture(stage, start) {
  const from = stage.camera;
  const [x, y] = [start.clientX - stage.left, start.clientY - stage.top];
  return {
    cursor: 'zoom-in',
    move(event) {
      stage.app.camera.set(zoomAt(from, from.scale * Math.exp((start.clientY - event.clientY) / 150), x, y));
    },
    cancel: () => stage.app.camera.set(from),
  };
}

/**
 * Two fingers: what is between them stays between them.
 * @param {Stage} stage
 * @param {readonly [PointerEvent, PointerEvent]} start
 * @param {() => PointerEvent[]} fingers where they are now: of a frame's moves only the last one is told
 * @returns {Gesture}
 */
export function pinchGesture(stage, start, fingers) {
  const from = stage.camera;
  const before = spread(start);
  return {
    move() {
      const [a, b] = fingers();
      if (!a || !b) return;
      const after = spread([a, b]);
      const moved = panBy(from, after.x - before.x, after.y - before.y);
      stage.app.camera.set(zoomAt(moved, from.scale * (after.apart / before.apart), after.x - stage.left, after.y - stage.top));
    },
  };
}

/** @param {readonly [PointerEvent, PointerEvent]} fingers */
function spread([a, b]) {
  return {
    x: (a.clientX + b.clientX) / 2, y: (a.clientY + b.clientY) / 2,
    apart: Math.max(1, Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY)),
  };
}

/**
 * The wheel zooms or scrolls, as the reader likes it; with Ctrl, which a pinch on a touchpad looks like, it always zooms.
 * @param {Stage} stage
 * @param {WheelEvent} event
 */
export function onWheel(stage, event) {
  const target = /** @type {Element} */ (event.target);
  if (scrolls(target) && !event.ctrlKey) return;
  event.preventDefault();
  const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : event.deltaMode === WheelEvent.DOM_DELTA_PAGE ? stage.height : 1;
  const [dx, dy] = [event.deltaX * unit, event.deltaY * unit];
  const { app } = stage;
  if (event.ctrlKey || event.metaKey || app.settings.get().wheel === 'zoom') {
    const speed = event.ctrlKey && Math.abs(dy) < 50 ? 0.01 : 0.0012;
    const { x, y } = { x: event.clientX - stage.left, y: event.clientY - stage.top };
    app.camera.update((camera) => zoomAt(camera, camera.scale * Math.exp(-dy * speed), x, y));
  } else {
    const sideways = event.shiftKey && dx === 0;
    app.camera.update((camera) => panBy(camera, sideways ? -dy : -dx, sideways ? 0 : -dy));
  }
}

/** Whether the wheel belongs to a field: one that is being edited and has more than it shows. @param {Element} target */
function scrolls(target) {
  const field = target.closest('textarea, .scrolls');
  return field !== null && field.contains(document.activeElement) && field.scrollHeight > field.clientHeight + 1;
}
