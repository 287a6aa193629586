/**
 * A dialog in which somebody draws what of a picture is to be done anew. The mask is kept as the transparency of a copy.
 *
 * @module
 */

/** @import {Point} from './layer.js' */
import { encodePng } from '../../util/png_write.js';
import { h, icon } from '../../util/h.js';
import { t } from '../../util/i18n.js';
import { MaskLayer } from './layer.js';

const COLOUR = '#ff3355';
const LARGEST = 400;

/**
 * Let somebody draw a mask; answers the picture with it, or null.
 * @param {string} name what the picture is called in the input folder
 * @param {string} address where it lies
 * @returns {Promise<Blob | null>}
 */
export async function openMaskEditor(name, address) {
  const slash = name.lastIndexOf('/');
  const place = { type: 'input', filename: name.slice(slash + 1), subfolder: slash > 0 ? name.slice(0, slash) : '' };
  // A canvas forgets the colour of what is transparent, so the colours come without transparency.
  const [colours, whole] = await Promise.all([
    load(`view?${new URLSearchParams({ ...place, channel: 'rgb', preview: 'png' })}`), load(address),
  ]);
  const [width, height] = [colours.naturalWidth, colours.naturalHeight];
  const picture = h('canvas', { class: 'mask-picture', width, height });
  const canvas = h('canvas', { class: 'mask-drawn', width, height, tabIndex: 0, role: 'application', 'aria-label': t('widget.mask.canvas') });
  picture.getContext('2d')?.drawImage(colours, 0, 0);
  const layer = new MaskLayer(canvas, COLOUR);
  layer.begin(whole);
  if (!await draw(name, picture, canvas, layer)) return null;
  const pixels = /** @type {CanvasRenderingContext2D} */ (picture.getContext('2d')).getImageData(0, 0, width, height).data;
  const mask = layer.read();
  for (let i = 3; i < pixels.length; i += 4) pixels[i] = 255 - /** @type {number} */ (mask[i]);
  return encodePng(pixels, width, height);
}

/**
 * @param {string} address
 * @returns {Promise<HTMLImageElement>}
 */
async function load(address) {
  const image = new Image();
  image.src = address;
  try {
    await image.decode();
  } catch {
    throw new Error(t('widget.image.unseen'));
  }
  return image;
}

/** @typedef {{erase: boolean, size: number}} Brush */

/**
 * @param {string} name
 * @param {HTMLCanvasElement} picture
 * @param {HTMLCanvasElement} canvas
 * @param {MaskLayer} layer
 * @returns {Promise<boolean>} whether it is to be kept
 */
function draw(name, picture, canvas, layer) {
  /** @type {Brush} */
  const brush = { erase: false, size: Math.min(LARGEST, Math.max(4, Math.round(Math.max(canvas.width, canvas.height) / 16))) };
  const ring = h('div', { class: 'mask-ring', hidden: true });
  const area = h('div', { class: 'mask-area' }, picture, canvas, ring);
  area.style.aspectRatio = `${canvas.width} / ${canvas.height}`;
  area.style.setProperty('--ratio', String(canvas.width / canvas.height));
  const tools = makeTools(layer, brush);
  addPointer(canvas, ring, layer, brush, tools.refresh);
  addKeys(canvas, ring, layer, brush, tools);
  const buttons = h('div', { class: 'dialog-buttons' },
    h('button', { type: 'submit', value: 'ok', class: 'primary' }, t('widget.mask.save')),
    h('button', { type: 'submit', value: '', formNoValidate: true }, t('dialog.cancel')));
  const dialog = h('dialog', { class: 'dialog mask-editor', 'aria-label': t('widget.mask.title', { name }) },
    h('form', { method: 'dialog' }, h('h2', {}, t('widget.mask.title', { name })), tools.element, area, h('p', { class: 'hint' }, t('widget.mask.help')), buttons));
  // The canvas behind has keys of its own.
  for (const type of ['keydown', 'keyup', 'wheel', 'paste', 'copy', 'cut']) dialog.addEventListener(type, (event) => event.stopPropagation());
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue === 'ok');
    });
    document.body.append(dialog);
    dialog.showModal();
    canvas.focus();
  });
}

/**
 * @param {MaskLayer} layer
 * @param {Brush} brush
 */
function makeTools(layer, brush) {
  const modes = ['draw', 'erase'].map((mode) => {
    const input = h('input', { type: 'radio', name: 'mask-mode', value: mode, checked: mode === 'draw', onchange: () => void (brush.erase = mode === 'erase') });
    return { input, label: h('label', { class: 'mask-mode' }, input, t(`widget.mask.${mode}`)) };
  });
  const size = h('input', { type: 'range', min: '1', max: String(LARGEST), value: String(brush.size), oninput: () => void (brush.size = Number(size.value)) });
  const act = (/** @type {() => void} */ run) => () => {
    run();
    refresh();
  };
  const undo = h('button', { type: 'button', onclick: act(() => layer.undo()) }, icon('undo'), t('widget.mask.undo'));
  const redo = h('button', { type: 'button', onclick: act(() => layer.redo()) }, icon('redo'), t('widget.mask.redo'));
  const refresh = () => {
    undo.disabled = layer.steps.length === 0;
    redo.disabled = layer.undone.length === 0;
    size.value = String(brush.size);
    for (const { input } of modes) input.checked = (input.value === 'erase') === brush.erase;
  };
  refresh();
  const element = h('div', { class: 'mask-tools', role: 'toolbar', 'aria-label': t('widget.mask.tools') },
    ...modes.map(({ label }) => label), h('label', { class: 'mask-size' }, t('widget.mask.size'), size),
    h('button', { type: 'button', onclick: act(() => layer.add({ kind: 'clear' })) }, t('widget.mask.clear')),
    h('button', { type: 'button', onclick: act(() => layer.add({ kind: 'invert' })) }, t('widget.mask.invert')), undo, redo);
  return { element, refresh };
}

/**
 * Where on the picture the pointer is.
 * @param {HTMLCanvasElement} canvas
 * @param {{clientX: number, clientY: number}} event
 * @returns {Point}
 */
function pointOf(canvas, { clientX, clientY }) {
  const box = canvas.getBoundingClientRect();
  return { x: (clientX - box.left) * canvas.width / box.width, y: (clientY - box.top) * canvas.height / box.height };
}

/**
 * Show where the brush is and how large.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} ring
 * @param {Brush} brush
 * @param {Point} point
 */
function showRing(canvas, ring, brush, { x, y }) {
  const scale = canvas.clientWidth / canvas.width;
  ring.hidden = false;
  ring.style.width = ring.style.height = `${Math.max(2, brush.size * scale)}px`;
  ring.style.transform = `translate(${x * scale}px, ${y * scale}px) translate(-50%, -50%)`;
}

/**
 * Draw with the main button or a pen, erase with the right one or a pen's other end.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} ring
 * @param {MaskLayer} layer
 * @param {Brush} brush
 * @param {() => void} refresh
 */
function addPointer(canvas, ring, layer, brush, refresh) {
  let drawing = false;
  canvas.addEventListener('contextmenu', (event) => event.preventDefault());
  canvas.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 && event.button !== 2 && event.button !== 5) return;
    event.preventDefault();
    canvas.focus();
    canvas.setPointerCapture(event.pointerId);
    drawing = true;
    layer.add({ kind: 'stroke', erase: brush.erase !== (event.button !== 0), size: brush.size, points: [pointOf(canvas, event)] });
    refresh();
  });
  canvas.addEventListener('pointermove', (event) => {
    showRing(canvas, ring, brush, pointOf(canvas, event));
    if (!drawing) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) layer.extend(pointOf(canvas, part));
  });
  const end = () => void (drawing = false);
  for (const type of ['pointerup', 'pointercancel', 'lostpointercapture']) canvas.addEventListener(type, end);
  canvas.addEventListener('pointerleave', () => void (ring.hidden = true));
}

/**
 * Everything by keys too: arrows move the brush, Space makes a dot, [ and ] change its size.
 * @param {HTMLCanvasElement} canvas
 * @param {HTMLElement} ring
 * @param {MaskLayer} layer
 * @param {Brush} brush
 * @param {{element: HTMLElement, refresh: () => void}} tools
 */
function addKeys(canvas, ring, layer, brush, { element, refresh }) {
  const at = { x: canvas.width / 2, y: canvas.height / 2 };
  const moves = new Map([['ArrowLeft', [-1, 0]], ['ArrowRight', [1, 0]], ['ArrowUp', [0, -1]], ['ArrowDown', [0, 1]]]);
  const change = (/** @type {KeyboardEvent} */ event) => {
    const command = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    if (command && key === 'z' && !event.shiftKey) layer.undo();
    else if (command && (key === 'y' || key === 'z')) layer.redo();
    else if (command) return false;
    else if (key === '[' || key === ']') brush.size = Math.min(LARGEST, Math.max(1, Math.round(brush.size * (key === ']' ? 1.15 : 0.87) + (key === ']' ? 1 : -1))));
    else if (key === 'b' || key === 'e') brush.erase = key === 'e';
    else return false;
    return true;
  };
  const move = (/** @type {KeyboardEvent} */ event) => {
    const [dx, dy] = moves.get(event.key) ?? [0, 0];
    if (!dx && !dy && event.key !== ' ') return false;
    const far = Math.max(1, brush.size / (event.shiftKey ? 1 : 4));
    at.x = Math.min(canvas.width, Math.max(0, at.x + /** @type {number} */ (dx) * far));
    at.y = Math.min(canvas.height, Math.max(0, at.y + /** @type {number} */ (dy) * far));
    if (event.key === ' ') layer.add({ kind: 'stroke', erase: brush.erase, size: brush.size, points: [{ ...at }] });
    return true;
  };
  const listen = (/** @type {KeyboardEvent} */ event) => {
    if (!change(event) && !(event.currentTarget === canvas && move(event))) return;
    event.preventDefault();
    refresh();
    if (event.currentTarget === canvas) showRing(canvas, ring, brush, at);
  };
  canvas.addEventListener('keydown', listen);
  element.addEventListener('keydown', listen);
}
