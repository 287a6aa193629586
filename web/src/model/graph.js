/**
 * Edits of a graph: pure functions from a Graph to another one.
 *
 * @module
 */

/** @import {Graph, Group, Link, Node, Note, Param, ParamType, Place, Point, Raw, Scalar} from './types.js' */
import { freeName, mapRefs, refOf, same, typeOf, writeRef } from './values.js';

let lastUid = 0;

/** A number that no other node of this page has. */
export function newUid() {
  lastUid += 1;
  return lastUid;
}

/** @type {Graph} */
export const EMPTY_GRAPH = {
  name: null, description: '', params: new Map(), nodes: new Map(), outputs: new Map(), places: new Map(),
  points: new Map(), groups: new Map(), notes: new Map(), extra: new Map(),
};

/**
 * A map with one entry changed; undefined takes it out. The map itself if nothing changes.
 * @template K, V
 * @param {ReadonlyMap<K, V>} map
 * @param {K} key
 * @param {V | undefined} value
 * @returns {ReadonlyMap<K, V>}
 */
export function withEntry(map, key, value) {
  if (value === undefined ? !map.has(key) : map.get(key) === value) return map;
  const copy = new Map(map);
  if (value === undefined) copy.delete(key);
  else copy.set(key, value);
  return copy;
}

/**
 * A map without some entries; itself if it has none of them.
 * @template K, V
 * @param {ReadonlyMap<K, V>} map
 * @param {(key: K, value: V) => boolean} isGone
 * @returns {ReadonlyMap<K, V>}
 */
export function without(map, isGone) {
  const kept = [...map].filter(([key, value]) => !isGone(key, value));
  return kept.length === map.size ? map : new Map(kept);
}

/**
 * Change a node; the graph itself if it is not there or stays the same.
 * @param {Graph} graph
 * @param {string} id
 * @param {Partial<Node>} change
 * @returns {Graph}
 */
export function updateNode(graph, id, change) {
  const node = graph.nodes.get(id);
  if (!node) return graph;
  const keys = /** @type {(keyof Node)[]} */ (Object.keys(change));
  if (keys.every((key) => node[key] === change[key])) return graph;
  return { ...graph, nodes: withEntry(graph.nodes, id, { ...node, ...change }) };
}

/**
 * Give an input a value; undefined leaves it to its default. Points of a link that goes go too.
 * @param {Graph} graph
 * @param {string} id
 * @param {string} input
 * @param {Raw | undefined} value
 * @returns {Graph}
 */
export function setInput(graph, id, input, value) {
  const node = graph.nodes.get(id);
  if (!node || (same(node.inputs.get(input), value) && node.inputs.has(input) === (value !== undefined))) return graph;
  const changed = updateNode(graph, id, { inputs: withEntry(node.inputs, input, value) });
  const wasLink = refOf(node.inputs.get(input)) !== null;
  return wasLink ? { ...changed, points: withEntry(changed.points, `${id}.${input}`, undefined) } : changed;
}

/**
 * Link an output to an input. `output` is what the link calls it, null for the only one.
 * @param {Graph} graph
 * @param {{from: string, output: string | null, to: string, input: string}} link
 */
export function connect(graph, { from, output, to, input }) {
  return setInput(graph, to, input, writeRef(from, output));
}

/**
 * Add a node with a name made from `id`; answers the graph and the name.
 * @param {Graph} graph
 * @param {{id: string, uses: string, inputs?: ReadonlyMap<string, Raw>, title?: string | null, note?: string | null,
 *   mode?: Node['mode'], extra?: ReadonlyMap<string, Raw>}} node
 * @param {Place} place
 * @returns {{graph: Graph, id: string}}
 */
export function addNode(graph, node, place) {
  const id = freeName(node.id, graph.nodes, graph.params);
  /** @type {Node} */
  const made = {
    uid: newUid(), id, uses: node.uses, title: node.title ?? null, note: node.note ?? null, mode: node.mode ?? 'run',
    inputs: node.inputs ?? new Map(), extra: node.extra ?? new Map(),
  };
  return {
    id,
    graph: { ...graph, nodes: withEntry(graph.nodes, id, made), places: withEntry(graph.places, id, place) },
  };
}

/**
 * Take nodes out, with the links that come from them. With `join`, what took from a node gets what arrived at its first
 * linked input for which `fits(input of the removed node, consumer, its input)` holds.
 * @param {Graph} graph
 * @param {ReadonlySet<string>} ids
 * @param {(removed: Node, source: Raw, consumer: Node, input: string, ref: import('./types.js').Ref) => boolean} [fits]
 * @returns {Graph}
 */
export function removeNodes(graph, ids, fits) {
  if (![...ids].some((id) => graph.nodes.has(id))) return graph;
  /** @type {Map<string, Node>} */
  const nodes = new Map();
  for (const node of graph.nodes.values()) {
    if (ids.has(node.id)) continue;
    let inputs = node.inputs;
    for (const [name, value] of node.inputs) {
      const given = successor(graph, ids, node, name, value, fits);
      if (given !== value) inputs = withEntry(inputs, name, given);
    }
    nodes.set(node.id, inputs === node.inputs ? node : { ...node, inputs });
  }
  const goneInput = (/** @type {string} */ key) => {
    const [id, input] = splitKey(key);
    return ids.has(id) || nodes.get(id)?.inputs.get(input) !== graph.nodes.get(id)?.inputs.get(input);
  };
  return {
    ...graph, nodes,
    places: without(graph.places, (id) => ids.has(id)),
    points: without(graph.points, goneInput),
    outputs: without(graph.outputs, (_, value) => ids.has(refOf(value)?.name ?? '')),
  };
}

/**
 * What an input gets in place of a value when nodes go.
 * @param {Graph} graph
 * @param {ReadonlySet<string>} ids
 * @param {Node} consumer
 * @param {string} input
 * @param {Raw} value
 * @param {Parameters<typeof removeNodes>[2]} fits
 * @returns {Raw | undefined}
 */
function successor(graph, ids, consumer, input, value, fits) {
  /** @type {Raw | undefined} */
  let current = value;
  const seen = new Set();
  for (;;) {
    const ref = refOf(current);
    if (!ref || !ids.has(ref.name) || !graph.nodes.has(ref.name)) return current;
    if (!fits || seen.has(ref.name)) return undefined;
    seen.add(ref.name);
    const removed = /** @type {Node} */ (graph.nodes.get(ref.name));
    current = [...removed.inputs.values()].find((source) => {
      const name = refOf(source)?.name;
      return name !== undefined && graph.nodes.has(name) && fits(removed, source, consumer, input, ref);
    });
    if (current === undefined) return undefined;
  }
}

/**
 * Give a node another name, everywhere. The graph itself if the name is taken.
 * @param {Graph} graph
 * @param {string} id
 * @param {string} to
 * @returns {Graph}
 */
export function renameNode(graph, id, to) {
  if (id === to || !graph.nodes.has(id) || graph.nodes.has(to) || graph.params.has(to)) return graph;
  const renamed = renameRefs(graph, id, to);
  const nodes = new Map([...renamed.nodes].map(([key, node]) => (key === id ? [to, { ...node, id: to }] : [key, node])));
  const places = new Map([...graph.places].map(([key, place]) => [key === id ? to : key, place]));
  const points = new Map([...graph.points].map(([key, value]) => {
    const [node, input] = splitKey(key);
    return [node === id ? `${to}.${input}` : key, value];
  }));
  const extra = new Map([...renamed.extra].map(([key, value]) => [key, renameTargets(value, id, to)]));
  return { ...renamed, nodes, places, points, extra };
}

/**
 * A sweep of the whole file names inputs as `node.input`.
 * @param {Raw} value
 * @param {string} id
 * @param {string} to
 * @returns {Raw}
 */
function renameTargets(value, id, to) {
  if (!(value instanceof Map)) return value;
  return new Map([...value].map(([key, item]) => [key.startsWith(`${id}.`) ? to + key.slice(id.length) : key, item]));
}

/**
 * The graph with another name in all references to a node or parameter.
 * @param {Graph} graph
 * @param {string} name
 * @param {string} to
 * @returns {Graph}
 */
export function renameRefs(graph, name, to) {
  const change = (/** @type {import('./types.js').Ref} */ ref) => (ref.name === name ? { ...ref, name: to } : ref);
  const nodes = new Map([...graph.nodes].map(([id, node]) => {
    const inputs = mapRefs(/** @type {Raw} */ (node.inputs), change);
    const extra = mapRefs(/** @type {Raw} */ (node.extra), change);
    return [id, inputs === node.inputs && extra === node.extra ? node : /** @type {Node} */ ({ ...node, inputs, extra })];
  }));
  return { ...graph, nodes, outputs: /** @type {any} */ (mapRefs(/** @type {Raw} */ (graph.outputs), change)) };
}

/**
 * Move nodes, groups, notes and points by item key: a node's id, `group:title`, `note:0`, `point:node.input:0`.
 * @param {Graph} graph
 * @param {Iterable<string>} items
 * @param {number} dx
 * @param {number} dy
 * @returns {Graph}
 */
export function moveItems(graph, items, dx, dy) {
  const places = new Map(graph.places);
  const groups = new Map(graph.groups);
  const notes = new Map(graph.notes);
  const points = new Map(graph.points);
  for (const key of items) {
    const { kind, id, index } = readItem(key);
    if (kind === 'node') moveIn(places, id, dx, dy);
    else if (kind === 'group') moveIn(groups, id, dx, dy);
    else if (kind === 'note') moveIn(notes, id, dx, dy);
    else points.set(id, (points.get(id) ?? []).map((p, i) => (i === index ? { x: Math.round(p.x + dx), y: Math.round(p.y + dy) } : p)));
  }
  return { ...graph, places, groups, notes, points };
}

/**
 * @template {{x: number, y: number, pinned?: boolean}} T
 * @param {Map<string, T>} map
 * @param {string} key
 * @param {number} dx
 * @param {number} dy
 */
function moveIn(map, key, dx, dy) {
  const place = map.get(key);
  if (place && !place.pinned) map.set(key, { ...place, x: Math.round(place.x + dx), y: Math.round(place.y + dy), auto: undefined, unplaced: undefined });
}

/**
 * What an item key means.
 * @param {string} key
 * @returns {{kind: 'node' | 'group' | 'note' | 'point', id: string, index: number}}
 */
export function readItem(key) {
  if (key.startsWith('group:')) return { kind: 'group', id: key.slice(6), index: -1 };
  if (key.startsWith('note:')) return { kind: 'note', id: key, index: -1 };
  if (key.startsWith('point:')) {
    const at = key.lastIndexOf(':');
    return { kind: 'point', id: key.slice(6, at), index: Number(key.slice(at + 1)) };
  }
  return { kind: 'node', id: key, index: -1 };
}

/**
 * `node.input` as its two halves; neither name of a node has a dot.
 * @param {string} key
 * @returns {[string, string]}
 */
export function splitKey(key) {
  const dot = key.indexOf('.');
  return [key.slice(0, dot), key.slice(dot + 1)];
}

/**
 * Change the place of a node. Coordinates are whole units, as the file has them.
 * @param {Graph} graph
 * @param {string} id
 * @param {Partial<Place>} change
 * @returns {Graph}
 */
export function placeNode(graph, id, change) {
  const place = { ...(graph.places.get(id) ?? { x: 0, y: 0 }), ...change };
  for (const key of /** @type {const} */ (['x', 'y', 'width', 'height'])) {
    if (place[key] !== undefined) place[key] = Math.round(/** @type {number} */ (place[key]));
  }
  return { ...graph, places: withEntry(graph.places, id, { ...place, auto: undefined, unplaced: undefined }) };
}

/**
 * Add or change a group; undefined takes it out. A new title must be free.
 * @param {Graph} graph
 * @param {string} title
 * @param {Group | undefined} group
 * @returns {Graph}
 */
export function setGroup(graph, title, group) {
  if (!group || group.title === title) return { ...graph, groups: withEntry(graph.groups, title, group) };
  if (graph.groups.has(group.title)) return graph;
  return { ...graph, groups: new Map([...graph.groups].map(([key, old]) => (key === title ? [group.title, group] : [key, old]))) };
}

/**
 * Put notes into the graph as a list; their ids follow their places in it.
 * @param {Graph} graph
 * @param {readonly Omit<Note, 'id'>[]} notes
 * @returns {Graph}
 */
export function setNotes(graph, notes) {
  return { ...graph, notes: new Map(notes.map((note, i) => [`note:${i}`, { ...note, id: `note:${i}` }])) };
}

/**
 * Change a note.
 * @param {Graph} graph
 * @param {string} id
 * @param {Partial<Omit<Note, 'id'>>} change
 * @returns {Graph}
 */
export function updateNote(graph, id, change) {
  const note = graph.notes.get(id);
  return note ? { ...graph, notes: withEntry(graph.notes, id, { ...note, ...change }) } : graph;
}

/**
 * The points that the link into an input passes.
 * @param {Graph} graph
 * @param {string} id
 * @param {string} input
 * @param {readonly Point[]} points
 * @returns {Graph}
 */
export function setPoints(graph, id, input, points) {
  return { ...graph, points: withEntry(graph.points, `${id}.${input}`, points.length ? points : undefined) };
}

/**
 * Change the value of a parameter. A declared type stays; one that is known by the value follows it, but a decimal number
 * stays one.
 * @param {Graph} graph
 * @param {string} name
 * @param {Scalar} value
 * @returns {Graph}
 */
export function setParam(graph, name, value) {
  const param = graph.params.get(name);
  if (!param || (param.value !== undefined && same(param.value, value))) return graph;
  const type = param.long || (param.type === 'FLOAT' && typeof value === 'number') ? param.type : typeOf(value);
  return { ...graph, params: withEntry(graph.params, name, { ...param, type, value }) };
}

/**
 * Make the value of an input a parameter of the file, which the input then refers to; answers its name too.
 * @param {Graph} graph
 * @param {{id: string, input: string, name: string, type: ParamType, value: Scalar}} what
 * @returns {{graph: Graph, name: string}}
 */
export function promote(graph, { id, input, name: wanted, type, value }) {
  const name = freeName(wanted, graph.nodes, graph.params);
  /** @type {Param} */
  const param = { name, type, value, long: false };
  const params = withEntry(graph.params, name, param);
  return { name, graph: setInput({ ...graph, params }, id, input, writeRef(name)) };
}

/**
 * All links between nodes.
 * @param {Graph} graph
 * @returns {Link[]}
 */
export function linksOf(graph) {
  /** @type {Link[]} */
  const links = [];
  for (const node of graph.nodes.values()) {
    for (const [input, value] of node.inputs) {
      const ref = refOf(value);
      if (ref && graph.nodes.has(ref.name)) links.push({ from: ref.name, output: ref.output, to: node.id, input });
    }
  }
  return links;
}
