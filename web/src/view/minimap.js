/**
 * The small map: all nodes as boxes, and a frame around what is seen. Press or drag in it to go there.
 *
 * @module
 */

/** @import {Stage} from './stage.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { centre, shownBy } from './camera.js';
import { around } from './geometry.js';
import { GRAPH, MAP, STATE } from './scheduler.js';

const WIDTH = 200;
const HEIGHT = 140;

/** @param {Stage} stage */
export function mountMinimap(stage) {
  const { app } = stage;
  const canvas = h('canvas', { class: 'minimap-canvas', width: WIDTH, height: HEIGHT });
  const frame = h('div', { class: 'minimap-frame' });
  const element = h('div', { class: 'minimap', 'aria-hidden': 'true', hidden: !app.settings.get().minimap }, canvas, frame);
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  stage.element.append(element);
  element.title = t('view.minimap');
  let map = { x: 0, y: 0, scale: 1 };
  let stale = true;

  const draw = () => {
    const view = shownBy(stage.camera, stage);
    const all = around(stage.scene.boxes.values()) ?? view;
    const margin = Math.max(all.width, all.height) * 0.05 + 50;
    const scale = Math.min(WIDTH / (all.width + 2 * margin), HEIGHT / (all.height + 2 * margin));
    map = { x: all.x + all.width / 2 - WIDTH / 2 / scale, y: all.y + all.height / 2 - HEIGHT / 2 / scale, scale };
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, WIDTH, HEIGHT);
    context.setTransform(scale, 0, 0, scale, -map.x * scale, -map.y * scale);
    const selection = stage.session.selection.get();
    for (const [colour, chosen] of /** @type {const} */ ([[stage.palette['node-far'], false], [stage.palette.accent, true]])) {
      context.beginPath();
      for (const box of stage.scene.boxes.values()) {
        if (selection.has(box.id) === chosen) context.rect(box.x, box.y, Math.max(box.width, 2 / scale), Math.max(box.height, 2 / scale));
      }
      context.fillStyle = colour;
      context.fill();
    }
    stale = false;
  };

  const place = () => {
    const view = shownBy(stage.camera, stage);
    const [left, right] = [clamp((view.x - map.x) * map.scale, WIDTH), clamp((view.x + view.width - map.x) * map.scale, WIDTH)];
    const [top, bottom] = [clamp((view.y - map.y) * map.scale, HEIGHT), clamp((view.y + view.height - map.y) * map.scale, HEIGHT)];
    // Whole pixels: a width that changes by a hair would have the page laid out again.
    frame.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
    frame.style.width = `${Math.max(4, Math.round(right - left))}px`;
    frame.style.height = `${Math.max(4, Math.round(bottom - top))}px`;
  };

  /** While nodes move, the map waits until they lie still. */
  let timer = 0;
  stage.afterFrame.push((marks) => {
    const shown = app.settings.get().minimap;
    if (element.hidden === shown) element.hidden = !shown;
    if (marks & (GRAPH | STATE)) stale = true;
    if (!shown || !(marks & (GRAPH | STATE | MAP))) return;
    if (stale && !timer) {
      timer = window.setTimeout(() => {
        timer = 0;
        draw();
        place();
      }, 80);
    }
    if (marks & MAP) place();
  });

  const go = (/** @type {PointerEvent} */ event) => {
    const { left, top } = canvas.getBoundingClientRect();
    const point = { x: map.x + (event.clientX - left) / map.scale, y: map.y + (event.clientY - top) / map.scale };
    app.camera.set(centre(point, stage, stage.camera.scale));
  };
  element.addEventListener('pointerdown', (event) => {
    event.stopPropagation();
    event.preventDefault();
    element.setPointerCapture(event.pointerId);
    go(event);
  });
  element.addEventListener('pointermove', (event) => {
    if (element.hasPointerCapture(event.pointerId)) go(event);
  });
}

/**
 * @param {number} value
 * @param {number} most
 */
function clamp(value, most) {
  return Math.min(most, Math.max(0, value));
}
