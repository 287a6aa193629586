/**
 * Places for nodes: quickly, for files that say none, and well, for those who ask for it.
 *
 * @module
 */

/** @import {Catalogue} from '../model/catalogue.js' */
/** @import {Graph} from '../model/types.js' */
import { outputIndex, specOf } from '../model/catalogue.js';
import { linksOf, placeNode, splitKey, without } from '../model/graph.js';
import { around, inputAt, layoutNode, outputAt, placeOf } from '../view/geometry.js';

const BETWEEN = 30;
const ACROSS = 70;
const APART = 90;

/** @typedef {{x: number, y: number, width: number, height: number}} Box */

/** A node to be placed; `from` and `to` are ids of its neighbours, `y` of ports counts from the node's top. */
/** @typedef {{id: string, width: number, height: number, from: {id: string, out: number, in: number}[], to: {id: string, out: number, in: number}[]}} Item */

/**
 * Give places to the nodes that have none: in columns, each to the right of what it takes from. The graph itself if all
 * have one.
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 * @returns {Graph}
 */
export function autoPlace(graph, catalogue) {
  const hasPlace = (/** @type {string} */ id) => graph.places.has(id) && !graph.places.get(id)?.unplaced;
  const lacking = [...graph.nodes.keys()].filter((id) => !hasPlace(id));
  if (!lacking.length) return graph;
  const placed = new Set([...graph.nodes.keys()].filter(hasPlace));
  const sizes = itemsOf(graph, catalogue, placed).values();
  const taken = around([
    ...[...sizes].map(({ id, width, height }) => ({ ...placeOf(graph, id), width, height })), ...graph.groups.values(), ...graph.notes.values(),
  ]);
  const boxes = pack(components(itemsOf(graph, catalogue, new Set(lacking))).map(columns));
  const origin = taken ? { x: taken.x, y: taken.y + taken.height + APART } : { x: 0, y: 0 };
  const places = new Map(graph.places);
  for (const [id, box] of boxes) places.set(id, { ...graph.places.get(id), x: Math.round(origin.x + box.x), y: Math.round(origin.y + box.y), auto: true, unplaced: undefined });
  return { ...graph, places };
}

/**
 * Lay out some nodes, or all, so that links run from left to right and cross little. Pinned nodes stay.
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 * @param {readonly string[]} [ids]
 * @returns {Promise<Graph>}
 */
export async function arrange(graph, catalogue, ids = [...graph.nodes.keys()]) {
  const dagre = await import('../../vendor/dagre.js');
  const moving = new Set(ids.filter((id) => graph.nodes.has(id) && !graph.places.get(id)?.pinned));
  const items = itemsOf(graph, catalogue, moving);
  if (!items.size) return graph;
  const before = around([...items.values()].map(({ id, width, height }) => ({ ...placeOf(graph, id), width, height })));
  const boxes = pack(components(items).map((group) => ranked(dagre, group)));
  const [left, top] = [before?.x ?? 0, before?.y ?? 0];
  let arranged = graph;
  for (const [id, box] of boxes) arranged = placeNode(arranged, id, { x: left + box.x, y: top + box.y });
  const points = without(graph.points, (key) => moving.has(splitKey(key)[0]));
  return points === graph.points ? arranged : { ...arranged, points };
}

/**
 * Nodes with their sizes and the links among them.
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 * @param {ReadonlySet<string>} ids
 * @returns {Map<string, Item>}
 */
function itemsOf(graph, catalogue, ids) {
  /** @type {Map<string, Item>} */
  const items = new Map();
  const layouts = new Map();
  for (const node of graph.nodes.values()) {
    if (!ids.has(node.id)) continue;
    const spec = specOf(catalogue, node, graph);
    const layout = layoutNode(spec, node, placeOf(graph, node.id));
    layouts.set(node.id, { layout, spec });
    items.set(node.id, { id: node.id, width: layout.width, height: layout.height, from: [], to: [] });
  }
  for (const { from, to, output, input } of linksOf(graph)) {
    const [source, target] = [items.get(from), items.get(to)];
    if (!source || !target || from === to) continue;
    const { layout, spec } = layouts.get(from);
    const index = Math.max(0, outputIndex(spec, { name: from, output }));
    const ports = { out: outputAt(layout, index).y, in: inputAt(layouts.get(to).layout, input).y };
    source.to.push({ id: to, ...ports });
    target.from.push({ id: from, ...ports });
  }
  return items;
}

/**
 * Nodes that hang together.
 * @param {ReadonlyMap<string, Item>} items
 * @returns {Map<string, Item>[]}
 */
function components(items) {
  const seen = new Set();
  /** @type {Map<string, Item>[]} */
  const groups = [];
  for (const first of items.keys()) {
    if (seen.has(first)) continue;
    const found = new Set([first]);
    for (const id of found) {
      const item = /** @type {Item} */ (items.get(id));
      for (const next of [...item.from, ...item.to]) found.add(next.id);
    }
    for (const id of found) seen.add(id);
    // In the order of the file, which is the reader's.
    groups.push(new Map([...items].filter(([id]) => found.has(id))));
  }
  return groups;
}

/**
 * Place a component in columns: a node stands right of all it takes from, about as high as they do.
 * @param {ReadonlyMap<string, Item>} items
 * @returns {Map<string, Box>}
 */
function columns(items) {
  const ranks = ranksOf(items);
  /** @type {Item[][]} */
  const all = Array.from({ length: Math.max(...ranks.values()) + 1 }, () => []);
  for (const item of items.values()) all[/** @type {number} */ (ranks.get(item.id))]?.push(item);
  order(all);
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  let x = 0;
  for (const column of all) {
    let y = 0;
    for (const item of column) {
      const wanted = item.from.flatMap(({ id, out, in: into }) => {
        const box = boxes.get(id);
        return box ? [box.y + out - into] : [];
      });
      const at = wanted.length ? Math.max(y, Math.min(...wanted)) : y;
      boxes.set(item.id, { x, y: at, width: item.width, height: item.height });
      y = at + item.height + BETWEEN;
    }
    x += Math.max(...column.map(({ width }) => width)) + ACROSS;
  }
  return boxes;
}

/**
 * The column of each node: one more than the farthest of what it takes from; what takes from nothing stands just before
 * the first that takes from it. In a ring somebody has to be the first.
 * @param {ReadonlyMap<string, Item>} items
 */
function ranksOf(items) {
  /** @type {Map<string, number>} */
  const ranks = new Map();
  const waiting = new Map([...items.values()].map((item) => [item.id, new Set(item.from.map(({ id }) => id))]));
  while (ranks.size < items.size) {
    let ready = [...waiting].filter(([, sources]) => sources.size === 0).map(([id]) => id);
    if (!ready.length) ready = [/** @type {string} */ (waiting.keys().next().value)];
    for (const id of ready) {
      waiting.delete(id);
      const item = /** @type {Item} */ (items.get(id));
      ranks.set(id, Math.max(-1, ...item.from.map((source) => ranks.get(source.id) ?? -1)) + 1);
      for (const { id: next } of item.to) waiting.get(next)?.delete(id);
    }
  }
  for (const { id, from, to } of items.values()) {
    if (from.length || !to.length) continue;
    ranks.set(id, Math.max(0, Math.min(...to.map((next) => ranks.get(next.id) ?? 1)) - 1));
  }
  return ranks;
}

/**
 * Put the nodes of each column in the order of what they are linked with, back and forth.
 * @param {Item[][]} all
 */
function order(all) {
  /** @type {Map<string, number>} */
  const heights = new Map();
  const note = (/** @type {Item[]} */ column) => {
    let y = 0;
    for (const { id, height } of column) {
      heights.set(id, y);
      y += height + BETWEEN;
    }
  };
  all.forEach(note);
  const sort = (/** @type {Item[]} */ column, /** @type {'from' | 'to'} */ side) => {
    const pull = new Map(column.map((item) => {
      const ends = item[side].map(({ id, out, in: into }) => (heights.get(id) ?? 0) + (side === 'from' ? out : into));
      return [item.id, ends.length ? ends.reduce((sum, y) => sum + y, 0) / ends.length : heights.get(item.id) ?? 0];
    }));
    column.sort((a, b) => (pull.get(a.id) ?? 0) - (pull.get(b.id) ?? 0));
    note(column);
  };
  for (let sweep = 0; sweep < 3; sweep += 1) {
    for (const column of all.slice(1)) sort(column, 'from');
    for (const column of [...all].reverse().slice(1)) sort(column, 'to');
  }
}

/**
 * Place a component by dagre, and order what goes to the same node as its inputs are, which dagre does not know.
 * @param {typeof import('../../vendor/dagre.js')} dagre
 * @param {ReadonlyMap<string, Item>} items
 * @returns {Map<string, Box>}
 */
function ranked(dagre, items) {
  const graph = new dagre.Graph();
  graph.setGraph({ rankdir: 'LR', nodesep: BETWEEN, ranksep: ACROSS, ranker: 'network-simplex' });
  graph.setDefaultEdgeLabel(() => ({}));
  for (const { id, width, height } of items.values()) graph.setNode(id, { width, height });
  for (const { id, to } of items.values()) for (const next of to) graph.setEdge(id, next.id);
  dagre.layout(graph);
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  /** @type {Map<number, string[]>} */
  const byColumn = new Map();
  for (const { id, width, height } of items.values()) {
    const { x, y } = /** @type {{x: number, y: number}} */ (graph.node(id));
    boxes.set(id, { x: x - width / 2, y: y - height / 2, width, height });
    byColumn.set(Math.round(x), [...(byColumn.get(Math.round(x)) ?? []), id]);
  }
  for (const column of byColumn.values()) orderByPort(column, boxes, items);
  return boxes;
}

/**
 * @param {string[]} column ids of nodes that stand above each other
 * @param {Map<string, Box>} boxes
 * @param {ReadonlyMap<string, Item>} items
 */
function orderByPort(column, boxes, items) {
  const boxOf = (/** @type {string} */ id) => /** @type {Box} */ (boxes.get(id));
  const ids = [...column].sort((a, b) => boxOf(a).y - boxOf(b).y);
  for (let end = ids.length - 1; end > 0; end -= 1) {
    for (let i = 0; i < end; i += 1) {
      const [a, b] = [/** @type {string} */ (ids[i]), /** @type {string} */ (ids[i + 1])];
      if (!isBelow(items.get(a), items.get(b))) continue;
      const [upper, lower] = [boxOf(a), boxOf(b)];
      const bottom = lower.y + lower.height;
      boxes.set(b, { ...lower, y: upper.y });
      boxes.set(a, { ...upper, y: bottom - upper.height });
      ids.splice(i, 2, b, a);
    }
  }
}

/**
 * Whether both go to the same nodes, the first each time to a lower input.
 * @param {Item | undefined} a
 * @param {Item | undefined} b
 */
function isBelow(a, b) {
  const [first, second] = [portsOf(a), portsOf(b)];
  return first.size > 0 && first.size === second.size
    && [...first].every(([id, port]) => second.has(id) && port > /** @type {number} */ (second.get(id)));
}

/**
 * The highest port at each node that a node goes to.
 * @param {Item | undefined} item
 * @returns {Map<string, number>}
 */
function portsOf(item) {
  /** @type {Map<string, number>} */
  const ports = new Map();
  for (const { id, in: port } of item?.to ?? []) ports.set(id, Math.min(port, ports.get(id) ?? Infinity));
  return ports;
}

/**
 * Put components beside and below each other, so that all together are about as wide as a screen.
 * @param {readonly ReadonlyMap<string, Box>[]} groups
 * @returns {Map<string, Box>}
 */
function pack(groups) {
  const sized = groups.map((group) => ({ group, box: /** @type {Box} */ (around(group.values())) }));
  const area = sized.reduce((sum, { box }) => sum + (box.width + APART) * (box.height + APART), 0);
  const widest = Math.max(Math.sqrt(area * 1.8), ...sized.map(({ box }) => box.width));
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  let [x, y, tall] = [0, 0, 0];
  for (const { group, box } of sized) {
    if (x > 0 && x + box.width > widest) {
      y += tall + APART;
      [x, tall] = [0, 0];
    }
    for (const [id, { width, height, ...at }] of group) boxes.set(id, { x: at.x - box.x + x, y: at.y - box.y + y, width, height });
    x += box.width + APART;
    tall = Math.max(tall, box.height);
  }
  return boxes;
}
