/**
 * The graph as a picture, with the workflow inside it.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph, Node, NodeSpec, Point} from '../model/types.js' */
/** @import {Layout} from './geometry.js' */
import { colourOf, outputIndex, specOf } from '../model/catalogue.js';
import { linksOf } from '../model/graph.js';
import { withText } from '../util/png_write.js';
import { around, HEADER, inputAt, layoutNode, outputAt, placeOf, ROW } from './geometry.js';

const MARGIN = 40;
const MOST_PIXELS = 64_000_000;

/**
 * Draw all of a file's graph.
 * @param {App} app
 * @param {Session} session
 * @returns {Promise<Blob>} a PNG
 */
export async function drawPicture(app, session) {
  const graph = session.graph.get();
  const catalogue = app.catalogue.get();
  const nodes = new Map([...graph.nodes].map(([id, node]) => {
    const spec = specOf(catalogue, node, graph);
    const place = placeOf(graph, id);
    return [id, { node, spec, place, layout: layoutNode(spec, node, place) }];
  }));
  const boxes = [...nodes.values()].map(({ place, layout }) => ({ x: place.x, y: place.y, width: layout.width, height: layout.height }));
  const box = around([...boxes, ...graph.groups.values(), ...graph.notes.values()]) ?? { x: 0, y: 0, width: 100, height: 100 };
  const scale = Math.min(2, Math.sqrt(MOST_PIXELS / ((box.width + 2 * MARGIN) * (box.height + 2 * MARGIN))));
  const canvas = document.createElement('canvas');
  canvas.width = Math.ceil((box.width + 2 * MARGIN) * scale);
  canvas.height = Math.ceil((box.height + 2 * MARGIN) * scale);
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext('2d'));
  const colours = themeColours();
  pen.fillStyle = colours.back;
  pen.fillRect(0, 0, canvas.width, canvas.height);
  pen.setTransform(scale, 0, 0, scale, (MARGIN - box.x) * scale, (MARGIN - box.y) * scale);
  drawFrames(pen, graph, colours);
  for (const link of linksOf(graph)) {
    const [from, to] = [nodes.get(link.from), nodes.get(link.to)];
    if (!from || !to) continue;
    const index = outputIndex(from.spec, { name: link.from, output: link.output });
    const start = moved(outputAt(from.layout, index), from.place);
    const end = moved(inputAt(to.layout, link.input), to.place);
    drawLink(pen, [start, ...(graph.points.get(`${link.to}.${link.input}`) ?? []), end], colourOf(catalogue, from.spec.outputs[index]?.type ?? '*'));
  }
  for (const row of nodes.values()) drawNode(pen, row, graph, (type) => colourOf(catalogue, type), colours);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
  return withText(/** @type {Blob} */ (blob), 'nodegraph', session.text.get());
}

function themeColours() {
  const probe = document.createElement('span');
  document.body.append(probe);
  const read = (/** @type {string} */ name) => {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  };
  const colours = { back: read('back'), node: read('node'), head: read('node-head'), text: read('text'), faint: read('faint'), border: read('border') };
  probe.remove();
  return colours;
}

/** @param {Point} point @param {Point} by */
function moved(point, by) {
  return { x: point.x + by.x, y: point.y + by.y };
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {Graph} graph
 * @param {ReturnType<typeof themeColours>} colours
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
 * @param {Point[]} points
 * @param {string} colour
 */
function drawLink(pen, points, colour) {
  pen.strokeStyle = colour;
  pen.lineWidth = 2.5;
  pen.beginPath();
  points.forEach((end, i) => {
    const start = points[i - 1];
    if (!start) return pen.moveTo(end.x, end.y);
    const bend = Math.max(30, Math.abs(end.x - start.x) / 2);
    return pen.bezierCurveTo(start.x + bend, start.y, end.x - bend, end.y, end.x, end.y);
  });
  pen.stroke();
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {{node: Node, spec: NodeSpec, place: Point, layout: Layout}} row
 * @param {Graph} graph
 * @param {(type: string) => string} colour
 * @param {ReturnType<typeof themeColours>} colours
 */
function drawNode(pen, { node, spec, place, layout }, graph, colour, colours) {
  const { width, height } = layout;
  pen.globalAlpha = node.mode === 'run' ? 1 : 0.5;
  pen.beginPath();
  pen.roundRect(place.x, place.y, width, height, 6);
  pen.fillStyle = colours.node;
  pen.fill();
  pen.strokeStyle = colours.border;
  pen.lineWidth = 1;
  pen.stroke();
  pen.fillStyle = colours.head;
  pen.fillRect(place.x + 1, place.y + 1, width - 2, HEADER - 1);
  write(pen, node.title ?? spec.display_name, place.x + 10, place.y + 20, width - 20, colours.text, 14);
  for (const { y, height: tall, input, output, widget } of layout.rows) {
    const middle = place.y + y + ROW / 2;
    if (input) {
      dot(pen, place.x, middle, colour(input.type));
      write(pen, input.name, place.x + 12, middle + 4, width / 2 - 16, colours.faint);
      if (widget) {
        const value = node.inputs.get(input.name) ?? input.default ?? '';
        const shown = typeof value === 'object' ? JSON.stringify(value) : String(value);
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
