/**
 * What of a graph lies where: a box for each node and a line for each link, kept from one graph to the next. It changes
 * in place, and only where the graph has changed, so that a drag among a thousand nodes touches one of them.
 *
 * @module
 */

/** @import {Catalogue} from '../model/catalogue.js' */
/** @import {Graph, Node, NodeSpec, Place, Point} from '../model/types.js' */
/** @import {Layout} from './geometry.js' */
import { colourOf, outputIndex, specOf } from '../model/catalogue.js';
import { EMPTY_GRAPH } from '../model/graph.js';
import { refOf } from '../model/values.js';
import { inputAt, layoutNode, outputAt, placeOf } from './geometry.js';

/**
 * A node on the canvas. `z` rises with whatever was touched last.
 * @typedef {{
 *   id: string, node: Node, spec: NodeSpec, place: Place, layout: Layout, key: string, x: number, y: number,
 *   width: number, height: number, z: number, links: Line[], seen: number,
 * }} NodeBox
 */

/**
 * A link: the boxes that it joins and where at them its ends are. `index` is the place of the output or -1.
 * @typedef {{
 *   from: NodeBox, to: NodeBox, input: string, index: number, type: string, colour: string, start: Point, end: Point,
 *   points: readonly Point[],
 * }} Line
 */

/** @type {readonly Point[]} */
const NO_POINTS = [];

export class Scene {
  constructor() {
    /** @type {Map<string, NodeBox>} */
    this.boxes = new Map();
    /** @type {Graph} */
    this.graph = EMPTY_GRAPH;
    /** @type {Catalogue | null} */
    this.catalogue = null;
    /** @type {ReadonlySet<string>} */
    this.pictured = new Set();
    this.pass = 0;
    this.top = 0;
    /** @type {Line[] | null} */
    this.lines = null;
  }

  /**
   * Follow the graph; answers whether anything but texts and values changed.
   * @param {Graph} graph
   * @param {Catalogue} catalogue
   * @param {ReadonlySet<string>} pictured ids of the nodes that show pictures
   */
  update(graph, catalogue, pictured) {
    this.pass += 1;
    let rewire = this.catalogue !== catalogue || this.graph.points !== graph.points;
    /** @type {NodeBox[]} */
    const rewired = [];
    for (const node of graph.nodes.values()) {
      const known = this.boxes.get(node.id);
      const place = placeOf(graph, node.id);
      if (!known) {
        this.boxes.set(node.id, this.#make(node, place, specOf(catalogue, node, graph), pictured.has(node.id)));
        rewire = true;
        continue;
      }
      known.seen = this.pass;
      if (known.node.inputs !== node.inputs) rewired.push(known);
      if (this.#follow(known, node, place, specOf(catalogue, node, graph), pictured.has(node.id))) rewire = true;
    }
    for (const [id, box] of this.boxes) {
      if (box.seen === this.pass) continue;
      this.boxes.delete(id);
      rewire = true;
    }
    this.graph = graph;
    this.catalogue = catalogue;
    this.pictured = pictured;
    for (const box of rewire ? this.boxes.values() : rewired) box.links = this.#linksInto(box);
    if (rewire || rewired.length) this.lines = null;
  }

  /** All links. */
  get links() {
    this.lines ??= [...this.boxes.values()].flatMap(({ links }) => links);
    return this.lines;
  }

  /** Put a node above the others. @param {string} id */
  raise(id) {
    const box = this.boxes.get(id);
    if (box && (box.z === 0 || box.z < this.top)) box.z = this.top += 1;
  }

  /** The nodes, those that lie above others first. @param {(box: NodeBox) => boolean} wanted */
  fromTop(wanted) {
    const found = [...this.boxes.values()].filter(wanted).reverse();
    return found.sort((a, b) => b.z - a.z);
  }

  /**
   * @param {Node} node
   * @param {Place} place
   * @param {NodeSpec} spec
   * @param {boolean} pictures
   * @returns {NodeBox}
   */
  #make(node, place, spec, pictures) {
    const layout = layoutNode(spec, node, place, pictures);
    const { width, height } = layout;
    const key = layoutKey(node, place, spec, pictures);
    return { id: node.id, node, spec, place, layout, key, x: place.x, y: place.y, width, height, z: 0, links: [], seen: this.pass };
  }

  /**
   * @param {NodeBox} box
   * @param {Node} node
   * @param {Place} place
   * @param {NodeSpec} spec
   * @param {boolean} pictures
   * @returns {boolean} whether its sockets lie elsewhere in it
   */
  #follow(box, node, place, spec, pictures) {
    if (box.node === node && box.place === place && box.spec === spec && this.pictured.has(node.id) === pictures) return false;
    const key = layoutKey(node, place, spec, pictures);
    const moved = key !== box.key || box.spec !== spec;
    if (moved) box.layout = layoutNode(spec, node, place, pictures);
    Object.assign(box, { node, place, spec, key, x: place.x, y: place.y, width: box.layout.width, height: box.layout.height });
    return moved;
  }

  /** @param {NodeBox} box */
  #linksInto(box) {
    /** @type {Line[]} */
    const lines = [];
    for (const [input, value] of box.node.inputs) {
      const ref = refOf(value);
      const from = ref && this.boxes.get(ref.name);
      if (!ref || !from) continue;
      const index = outputIndex(from.spec, ref);
      const type = from.spec.outputs[index]?.type ?? '*';
      lines.push({
        from, to: box, input, index, type,
        colour: colourOf(/** @type {Catalogue} */ (this.catalogue), type),
        start: outputAt(from.layout, index), end: inputAt(box.layout, input),
        points: this.graph.points.get(`${box.id}.${input}`) ?? NO_POINTS,
      });
    }
    return lines;
  }
}

/**
 * All that the layout of a node of one type depends on.
 * @param {Node} node
 * @param {Place} place
 * @param {NodeSpec} spec
 * @param {boolean} pictures
 */
function layoutKey(node, place, spec, pictures) {
  const known = new Set(spec.inputs.map(({ name }) => name));
  const strange = [...node.inputs.keys()].filter((name) => !known.has(name));
  return [place.width, place.height, place.collapsed, pictures, ...strange].join('\n');
}

/**
 * The stops of a link: its ends and the points between.
 * @param {Line} line
 * @returns {Point[]}
 */
export function stopsOf({ from, to, start, end, points }) {
  return [{ x: from.x + start.x, y: from.y + start.y }, ...points, { x: to.x + end.x, y: to.y + end.y }];
}

/**
 * Whether a link may be seen in a box. Curves reach out beyond their ends.
 * @param {Line} line
 * @param {import('./camera.js').Box} view
 */
export function crosses({ from, to, start, end, points }, view) {
  let [left, right] = [from.x + start.x, from.x + start.x];
  let [top, bottom] = [from.y + start.y, from.y + start.y];
  const add = (/** @type {number} */ x, /** @type {number} */ y) => {
    if (x < left) left = x;
    if (x > right) right = x;
    if (y < top) top = y;
    if (y > bottom) bottom = y;
  };
  add(to.x + end.x, to.y + end.y);
  for (const { x, y } of points) add(x, y);
  return left - 110 < view.x + view.width && view.x < right + 110 && top - 10 < view.y + view.height && view.y < bottom + 10;
}
