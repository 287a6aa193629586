/**
 * The canvas under the nodes: the grid of dots, links, and nodes from afar.
 *
 * @module
 */

/** @import {Camera, RunState} from '../app.js' */
/** @import {Box} from './camera.js' */
/** @import {Form} from './curve.js' */
/** @import {Linking} from './linking.js' */
/** @import {Line, NodeBox, Scene} from './scene.js' */
import { overlap, shownBy } from './camera.js';
import { paintOf } from './colours.js';
import { middle, trace } from './curve.js';
import { crosses, stopsOf } from './scene.js';

/** @typedef {Record<'grid' | 'node-far' | 'accent' | 'bad' | 'good' | 'muted' | 'bypassed' | 'node' | 'text', string>} Palette */

/**
 * All that a picture of the canvas is drawn from. `fade` goes from 0 (nodes of the page alone) to 1 (boxes alone).
 * @typedef {{
 *   scene: Scene, camera: Camera, width: number, height: number, ratio: number, palette: Palette, form: Form | 'hidden',
 *   linking: Linking | null, marked: Line | null, selection: ReadonlySet<string>, run: RunState, fade: number,
 *   isMounted: (id: string) => boolean,
 * }} Picture
 */

/**
 * How much nodes are boxes at a scale.
 * @param {number} scale
 */
export function fadeAt(scale) {
  return Math.min(1, Math.max(0, (0.35 - scale) / 0.1));
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 */
export function paint(ctx, picture) {
  const { camera, ratio, width, height } = picture;
  ctx.setTransform(1, 0, 0, 1, 0, 0);
  ctx.clearRect(0, 0, Math.ceil(width * ratio), Math.ceil(height * ratio));
  paintGrid(ctx, picture);
  const scale = camera.scale * ratio;
  ctx.setTransform(scale, 0, 0, scale, Math.round(-camera.x * scale), Math.round(-camera.y * scale));
  const view = shownBy(camera, { width, height }, 8);
  if (picture.form !== 'hidden') paintLinks(ctx, picture, view, picture.form);
  paintBoxes(ctx, picture, view);
  if (picture.linking) paintLinking(ctx, picture, picture.linking);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 */
function paintGrid(ctx, { camera, width, height, ratio, palette }) {
  let step = 20;
  while (step * camera.scale < 18) step *= 2;
  const size = Math.max(1, Math.round(1.5 * ratio));
  ctx.fillStyle = palette.grid;
  const columns = [];
  const scale = camera.scale * ratio;
  const [left, top] = [Math.round(-camera.x * scale), Math.round(-camera.y * scale)];
  const first = Math.ceil(camera.x / step) * step;
  for (let x = first; (x - camera.x) * camera.scale < width; x += step) columns.push(Math.round(x * scale + left));
  for (let y = Math.ceil(camera.y / step) * step; (y - camera.y) * camera.scale < height; y += step) {
    const at = Math.round(y * scale + top);
    for (const x of columns) ctx.fillRect(x, at, size, size);
  }
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 * @param {Box} view
 * @param {Form} form
 */
function paintLinks(ctx, picture, view, form) {
  const { scene, linking, marked, camera } = picture;
  /** @type {Map<string, Line[]>} */
  const byColour = new Map();
  /** @type {Line[]} */
  const faint = [];
  for (const line of scene.links) {
    if (!crosses(line, view)) continue;
    if (linking?.lifted && linking.lifted.node === line.to.id && linking.lifted.input === line.input) continue;
    if (line.from.node.mode === 'muted' || line.to.node.mode === 'muted' || (linking && line.type !== linking.type)) {
      faint.push(line);
      continue;
    }
    const list = byColour.get(line.colour);
    if (list) list.push(line);
    else byColour.set(line.colour, [line]);
  }
  ctx.lineWidth = Math.max(1.2 / camera.scale, 2.4);
  ctx.lineCap = 'round';
  ctx.globalAlpha = 0.25;
  for (const line of faint) strokeLines(ctx, [line], line.colour, form);
  ctx.globalAlpha = 1;
  for (const [colour, lines] of byColour) strokeLines(ctx, lines, colour, form);
  if (marked && scene.links.includes(marked)) {
    ctx.lineWidth *= 2.2;
    strokeLines(ctx, [marked], picture.palette.accent, form);
  }
  if (camera.scale > 0.35) for (const [colour, lines] of byColour) paintDots(ctx, lines, colour, form);
  paintPoints(ctx, picture, byColour);
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {readonly Line[]} lines
 * @param {string} colour
 * @param {Form} form
 */
function strokeLines(ctx, lines, colour, form) {
  ctx.beginPath();
  for (const line of lines) trace(ctx, stopsOf(line), form);
  ctx.strokeStyle = colour;
  ctx.stroke();
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {readonly Line[]} lines
 * @param {string} colour
 * @param {Form} form
 */
function paintDots(ctx, lines, colour, form) {
  ctx.beginPath();
  for (const line of lines) {
    if (line.points.length) continue;
    const { x, y } = middle(stopsOf(line), form);
    ctx.moveTo(x + 4, y);
    ctx.arc(x, y, 4, 0, 2 * Math.PI);
  }
  ctx.fillStyle = colour;
  ctx.fill();
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 * @param {ReadonlyMap<string, readonly Line[]>} byColour
 */
function paintPoints(ctx, { selection, palette }, byColour) {
  for (const [colour, lines] of byColour) {
    for (const line of lines) {
      line.points.forEach(({ x, y }, index) => {
        ctx.beginPath();
        ctx.arc(x, y, 6, 0, 2 * Math.PI);
        ctx.fillStyle = colour;
        ctx.fill();
        if (!selection.has(`point:${line.to.id}.${line.input}:${index}`)) return;
        ctx.lineWidth = 2;
        ctx.strokeStyle = palette.text;
        ctx.stroke();
      });
    }
  }
}

/**
 * Nodes that are not on the page, or not only: those that are still to come look like nodes without anything in them. Links
 * lie under them.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 * @param {Box} view
 */
function paintBoxes(ctx, picture, view) {
  const { scene, fade, isMounted } = picture;
  /** @type {Map<string, NodeBox[]>} */
  const fading = new Map();
  /** @type {Map<string, NodeBox[]>} */
  const whole = new Map();
  for (const box of scene.boxes.values()) {
    if (!overlap(box, view)) continue;
    const mounted = isMounted(box.id);
    if (mounted && fade === 0) continue;
    const into = mounted ? fading : whole;
    const colour = farColour(box, picture);
    const list = into.get(colour);
    if (list) list.push(box);
    else into.set(colour, [box]);
  }
  if (fade < 1 && whole.size) fillBoxes(ctx, new Map([[picture.palette.node, [...whole.values()].flat()]]), picture, 1);
  fillBoxes(ctx, whole, picture, fade);
  fillBoxes(ctx, fading, picture, fade);
}

/**
 * @param {NodeBox} box
 * @param {Picture} picture
 */
function farColour({ node, place, spec }, { palette, run }) {
  const state = run.nodes.get(node.id)?.state;
  if (state === 'failed' || spec.missing) return palette.bad;
  if (state === 'running') return palette.good;
  if (node.mode !== 'run') return palette[node.mode];
  return paintOf(place.colour) || palette['node-far'];
}

/**
 * @param {CanvasRenderingContext2D} ctx
 * @param {ReadonlyMap<string, readonly NodeBox[]>} byColour
 * @param {Picture} picture
 * @param {number} alpha
 */
function fillBoxes(ctx, byColour, { selection, palette, camera }, alpha) {
  ctx.globalAlpha = alpha;
  /** @type {NodeBox[]} */
  const selected = [];
  for (const [colour, boxes] of byColour) {
    ctx.beginPath();
    for (const box of boxes) {
      ctx.rect(box.x, box.y, box.width, box.height);
      if (selection.has(box.id)) selected.push(box);
    }
    ctx.fillStyle = colour;
    ctx.fill();
  }
  if (selected.length) {
    ctx.beginPath();
    for (const box of selected) ctx.rect(box.x, box.y, box.width, box.height);
    ctx.lineWidth = 2.5 / camera.scale;
    ctx.strokeStyle = palette.accent;
    ctx.stroke();
  }
  ctx.globalAlpha = 1;
}

/**
 * The link that is being drawn.
 * @param {CanvasRenderingContext2D} ctx
 * @param {Picture} picture
 * @param {Linking} linking
 */
function paintLinking(ctx, { form, camera }, linking) {
  const { from, at, colour } = linking;
  const stops = linking.origin.side === 'output' ? [from, at] : [at, from];
  const drawn = form === 'hidden' ? 'curved' : form;
  ctx.lineWidth = Math.max(1.5 / camera.scale, 3);
  ctx.beginPath();
  trace(ctx, stops, drawn);
  ctx.strokeStyle = colour;
  ctx.stroke();
  ctx.beginPath();
  ctx.arc(at.x, at.y, 5, 0, 2 * Math.PI);
  ctx.fillStyle = colour;
  ctx.fill();
}

/**
 * The colours of the theme as a canvas can take them: what a style says may be worked out by the browser first.
 * @template {string} K
 * @param {HTMLElement} element where they are asked for
 * @param {readonly K[]} names
 * @returns {Record<K, string>}
 */
export function readColours(element, names) {
  const probe = document.createElement('span');
  probe.hidden = true;
  element.append(probe);
  const colours = names.map((name) => {
    probe.style.color = `var(--${name})`;
    return [name, getComputedStyle(probe).color];
  });
  probe.remove();
  return Object.fromEntries(colours);
}

/** @param {HTMLElement} element @returns {Palette} */
export function readPalette(element) {
  return readColours(element, ['grid', 'node-far', 'accent', 'bad', 'good', 'muted', 'bypassed', 'node', 'text']);
}
