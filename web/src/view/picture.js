/**
 * The graph as a picture, with the workflow inside it.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph} from '../model/types.js' */
/** @import {NodeBox} from './scene.js' */
import { colourOf } from '../model/catalogue.js';
import { renderInline } from '../model/render.js';
import { withText } from '../util/png_write.js';
import { trace } from './curve.js';
import { around, HEADER, ROW } from './geometry.js';
import { readColours } from './paint.js';
import { Scene, stopsOf } from './scene.js';

const MARGIN = 40;
const MOST_PIXELS = 64_000_000;
const COLOURS = /** @type {const} */ (['back', 'node', 'node-head', 'text', 'faint', 'border']);

/** @typedef {Record<typeof COLOURS[number], string>} Colours */

/**
 * Draw all of a file's graph.
 * @param {App} app
 * @param {Session} session
 * @returns {Promise<Blob>} a PNG
 */
export async function drawPicture(app, session) {
  const graph = session.graph.get();
  const catalogue = app.catalogue.get();
  const scene = new Scene();
  scene.update(graph, catalogue, new Set());
  const box = around([...scene.boxes.values(), ...graph.groups.values(), ...graph.notes.values()]) ?? { x: 0, y: 0, width: 100, height: 100 };
  const scale = Math.min(2, Math.sqrt(MOST_PIXELS / ((box.width + 2 * MARGIN) * (box.height + 2 * MARGIN))));
  const canvas = document.createElement('canvas');
  canvas.width = Math.ceil((box.width + 2 * MARGIN) * scale);
  canvas.height = Math.ceil((box.height + 2 * MARGIN) * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const colours = readColours(document.body, COLOURS);
  pen.fillStyle = colours.back;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, (MARGIN - box.x) * scale, (MARGIN - box.y) * scale);
  drawFrames(pen, graph, colours);
  pen.lineWidth = 2.5;
  for (const line of scene.links) {
    pen.beginPath();
    trace(pen, stopsOf(line), 'curved');
    pen.strokeStyle = line.colour;
    pen.stroke();
  }
  for (const node of scene.boxes.values()) drawNode(pen, node, (type) => colourOf(catalogue, type), colours);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
  return withText(/** @type {Blob} */ (blob), 'nodegraph', session.text.get());
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Graph} graph
 * @param {Colours} colours
 */
function drawFrames(pen, graph, colours) {
  for (const { title, x, y, width, height } of graph.groups.values()) {
    pen.globalAlpha = 0.25;
    pen.fillStyle = colours.faint;
    pen.fillRect(x, y, width, height);
    pen.globalAlpha = 1;
    write(pen, title, x + 10, y + 20, width - 20, colours.text, 16);
  }
  for (const { text, x, y, width, height } of graph.notes.values()) {
    pen.strokeStyle = colours.border;
    pen.strokeRect(x, y, width, height);
    text.split('\n').slice(0, Math.floor(height / 18)).forEach((line, i) => write(pen, line, x + 8, y + 18 + i * 18, width - 16, colours.text));
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {NodeBox} box
 * @param {(type: string) => string} colour
 * @param {Colours} colours
 */
function drawNode(pen, { node, spec, place, layout, width, height }, colour, colours) {
  pen.globalAlpha = node.mode === 'run' ? 1 : 0.5;
  pen.beginPath();
  pen.roundRect(place.x, place.y, width, height, 6);
  pen.fillStyle = colours.node;
  pen.fill();
  pen.strokeStyle = colours.border;
  pen.lineWidth = 1;
  pen.stroke();
  pen.fillStyle = colours['node-head'];
  pen.fillRect(place.x + 1, place.y + 1, width - 2, HEADER - 1);
  write(pen, node.title ?? spec.display_name, place.x + 10, place.y + 20, width - 20, colours.text, 14);
  for (const { y, height: tall, input, output, widget } of layout.rows) {
    const middle = place.y + y + ROW / 2;
    if (input) {
      dot(pen, place.x, middle, colour(input.type));
      write(pen, input.name, place.x + 12, middle + 4, width / 2 - 16, colours.faint);
      if (widget) {
        const value = node.inputs.get(input.name) ?? input.default ?? '';
        const shown = typeof value === 'object' ? renderInline(value) : String(value);
        const isTall = tall > ROW;
        write(pen, shown.replaceAll('\n', ' '), place.x + (isTall ? 12 : width / 2), middle + 4 + (isTall ? ROW : 0), isTall ? width - 24 : width / 2 - 10, colours.text);
      }
    }
    const out = output === null ? undefined : spec.outputs[output];
    if (out) {
      dot(pen, place.x + width, middle, colour(out.type));
      pen.textAlign = 'right';
      write(pen, out.name, place.x + width - 12, middle + 4, width / 2 - 16, colours.faint);
      pen.textAlign = 'left';
    }
  }
  pen.globalAlpha = 1;
}

/** @param {CanvasRenderingContext2D} pen @param {number} x @param {number} y @param {string} colour */
function dot(pen, x, y, colour) {
  pen.beginPath();
  pen.arc(x, y, 5, 0, 2 * Math.PI);
  pen.fillStyle = colour;
  pen.fill();
}

/**
 * A text on one line, cut to a width.
 * @param {CanvasRenderingContext2D} pen
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {string} colour
 * @param {number} [size]
 */
function write(pen, text, x, y, width, colour, size = 12) {
  pen.font = `${size}px system-ui, sans-serif`;
  pen.fillStyle = colour;
  let shown = text.slice(0, 300);
  while (shown.length > 1 && pen.measureText(shown).width > width) shown = `${shown.slice(0, Math.max(1, Math.floor(shown.length * 0.85) - 1))}…`;
  pen.fillText(shown, x, y);
}
