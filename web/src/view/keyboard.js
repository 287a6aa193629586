/**
 * The canvas by keyboard: arrow keys go from node to node, Enter on a socket lists what it can be linked with.
 *
 * @module
 */

/** @import {NodeBox} from './scene.js' */
/** @import {Stage} from './stage.js' */
import { panBy, shownBy } from './camera.js';
import { openSockets, removeLink } from './menus.js';

/** @type {Record<string, [number, number]>} */
const WAYS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** @param {Stage} stage */
export function mountKeyboard(stage) {
  const { element } = stage;
  element.addEventListener('keydown', (event) => onKey(stage, event));
  element.addEventListener('click', (event) => {
    // By key alone: what the pointer does with sockets is told apart where it goes down.
    if (event.detail === 0) onSocket(stage, /** @type {Element} */ (event.target));
  });
  element.addEventListener('focusin', (event) => onFocus(stage, /** @type {Element} */ (event.target)));
}

/**
 * @param {Stage} stage
 * @param {KeyboardEvent} event
 */
function onKey(stage, event) {
  const target = /** @type {HTMLElement} */ (event.target);
  const onNode = target.classList.contains('node');
  const way = WAYS[event.key];
  const plain = !event.ctrlKey && !event.metaKey && !event.altKey;
  if (way && plain && (onNode || target === stage.element)) {
    goTo(stage, onNode ? target.dataset.id ?? '' : null, way, event.shiftKey);
  } else if ((event.key === 'Delete' || event.key === 'Backspace') && stage.marked && (onNode || target === stage.element || target.classList.contains('socket'))) {
    removeLink(stage, stage.marked.node, stage.marked.input);
  } else if (event.key === 'Enter' && onNode && plain) {
    stage.session.selection.set(new Set([target.dataset.id ?? '']));
  } else if (event.key === 'Escape' && target !== stage.element) {
    const node = target.closest('.node');
    (node === target || !node ? stage.element : /** @type {HTMLElement} */ (node)).focus({ preventScroll: true });
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/**
 * @param {Stage} stage
 * @param {Element} target
 */
function onSocket(stage, target) {
  if (!(target instanceof HTMLElement) || !target.classList.contains('socket')) return;
  const id = /** @type {HTMLElement | null} */ (target.closest('.node'))?.dataset.id;
  if (id === undefined) return;
  const { right, top } = target.getBoundingClientRect();
  const at = { clientX: right + 4, clientY: top };
  if (target.dataset.output !== undefined) openSockets(stage, at, { side: 'output', node: id, index: Number(target.dataset.output) });
  else openSockets(stage, at, { side: 'input', node: id, input: target.dataset.input ?? '' });
}

/** A node that gets the focus by key comes into view. @param {Stage} stage @param {Element} target */
function onFocus(stage, target) {
  // The browser must not scroll the stage itself to show what has the focus.
  stage.element.scrollTo(0, 0);
  const id = /** @type {HTMLElement | null} */ (target.closest('.node'))?.dataset.id;
  const box = id === undefined ? undefined : stage.scene.boxes.get(id);
  if (box && target.matches(':focus-visible') && !stage.element.dataset.gesture) reveal(stage, box);
}

/**
 * Move the camera just so far that a node is in view.
 * @param {Stage} stage
 * @param {NodeBox} box
 */
function reveal(stage, box) {
  const { camera } = stage;
  const margin = 24 / camera.scale;
  const view = shownBy(camera, stage);
  const shift = (/** @type {number} */ from, /** @type {number} */ size, /** @type {number} */ at, /** @type {number} */ extent) => {
    if (from - margin < at || size + 2 * margin > extent) return at - from + margin;
    return Math.min(0, at + extent - from - size - margin);
  };
  const dx = box.x >= view.x && box.x + box.width <= view.x + view.width ? 0 : shift(box.x, box.width, view.x, view.width);
  const dy = box.y >= view.y && box.y + Math.min(box.height, view.height) <= view.y + view.height ? 0 : shift(box.y, box.height, view.y, view.height);
  if (dx || dy) stage.app.camera.set(panBy(camera, dx * camera.scale, dy * camera.scale));
}

/**
 * Give the focus to the nearest node in a direction; from the canvas itself, to the node nearest to its middle.
 * @param {Stage} stage
 * @param {string | null} id
 * @param {[number, number]} way
 * @param {boolean} adds whether the selection grows
 */
function goTo(stage, id, [wx, wy], adds) {
  const scene = stage.catchUp();
  const from = id === null ? undefined : scene.boxes.get(id);
  const { x, y, width, height } = from ?? shownBy(stage.camera, stage);
  const [cx, cy] = [x + width / 2, y + height / 2];
  let best = Infinity;
  /** @type {NodeBox | null} */
  let next = null;
  for (const box of scene.boxes.values()) {
    if (box === from) continue;
    const [dx, dy] = [box.x + box.width / 2 - cx, box.y + box.height / 2 - cy];
    const ahead = dx * wx + dy * wy;
    if (from && ahead <= 1) continue;
    const aside = Math.abs(dx * wy) + Math.abs(dy * wx);
    const cost = from ? ahead + 2 * aside : Math.hypot(dx, dy);
    if (cost >= best) continue;
    best = cost;
    next = box;
  }
  if (!next) return;
  reveal(stage, next);
  const { selection } = stage.session;
  selection.set(new Set(adds ? [...selection.get(), next.id] : [next.id]));
  stage.scene.raise(next.id);
  stage.ensure(next.id)?.element.focus({ preventScroll: true });
}
