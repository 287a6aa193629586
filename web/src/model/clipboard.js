/**
 * Copies of a part of a graph. What is copied is a workflow of its own, as text, so that it can be pasted into another
 * tab, a mail, or an editor.
 *
 * @module
 */

/** @import {Graph, Node, Point, Raw} from './types.js' */
import { addNode, EMPTY_GRAPH, readItem, setNotes, splitKey, withEntry } from './graph.js';
import { writeGraph } from './patch.js';
import { readText } from './read.js';
import { escape, escaped, mapRefs, refsIn } from './values.js';

/**
 * The part of a graph that some items are, with the parameters that it names. Links from outside stay in it.
 * @param {Graph} graph
 * @param {Iterable<string>} items
 * @returns {Graph}
 */
export function fragmentOf(graph, items) {
  const wanted = new Set(items);
  const isWanted = (/** @type {string} */ key) => wanted.has(key);
  const nodes = new Map([...graph.nodes].filter(([id]) => isWanted(id)));
  const named = new Set([...nodes.values()].flatMap((node) => refsIn(/** @type {Raw} */ (node.inputs)).map((ref) => ref.name)));
  const inside = (/** @type {string} */ key) => {
    const [id, input] = splitKey(key);
    const refs = refsIn(nodes.get(id)?.inputs.get(input));
    return refs.length > 0 && refs.every((ref) => nodes.has(ref.name));
  };
  return setNotes({
    ...EMPTY_GRAPH,
    params: new Map([...graph.params].filter(([name]) => named.has(name))),
    nodes,
    places: new Map([...graph.places].filter(([id]) => nodes.has(id)).map(([id, place]) => [id, { ...place, auto: undefined }])),
    points: new Map([...graph.points].filter(([key]) => inside(key))),
    groups: new Map([...graph.groups].filter(([title]) => isWanted(`group:${title}`))),
  }, [...graph.notes.values()].filter((note) => isWanted(note.id)));
}

/**
 * @param {Graph} graph
 * @param {Iterable<string>} items
 * @returns {string}
 */
export function copyText(graph, items) {
  return writeGraph(fragmentOf(graph, items));
}

/**
 * The part of a graph that a text is, or null if it is none.
 * @param {string} text
 * @returns {Graph | null}
 */
export function readFragment(text) {
  if (!/^\s*(?:#.*\n\s*)*(?:nodegraph|nodes|notes|groups)\s*:/.test(text)) return null;
  const { graph } = readText(text);
  return graph && (graph.nodes.size || graph.notes.size || graph.groups.size) ? graph : null;
}

/**
 * Put a part into a graph. Nodes whose names are taken get others. Links from outside the part are kept, with
 * `keepLinks`, where the graph has such a node; parameters that the graph lacks become their values.
 * @param {Graph} graph
 * @param {Graph} part
 * @param {{dx: number, dy: number, keepLinks?: boolean}} options
 * @returns {{graph: Graph, items: Set<string>}} and the keys of what came
 */
export function paste(graph, part, { dx, dy, keepLinks = false }) {
  /** @type {Set<string>} */
  const items = new Set();
  /** @type {Map<string, string>} */
  const names = new Map();
  let result = graph;
  for (const node of part.nodes.values()) {
    const at = part.places.get(node.id) ?? { x: 0, y: 0 };
    const added = addNode(result, { ...node, inputs: new Map() }, { ...at, x: Math.round(at.x + dx), y: Math.round(at.y + dy) });
    names.set(node.id, added.id);
    items.add(added.id);
    result = added.graph;
  }
  const nodes = new Map(result.nodes);
  for (const [old, id] of names) {
    const made = /** @type {Node} */ (nodes.get(id));
    nodes.set(id, { ...made, ...translated(/** @type {Node} */ (part.nodes.get(old)), names, graph, part, keepLinks) });
  }
  const points = new Map([...result.points, ...[...part.points].map(([key, value]) => movedPoints(key, value, names, dx, dy))]);
  result = { ...result, nodes, points };
  for (const group of part.groups.values()) {
    const title = freeTitle(result, group.title);
    result = { ...result, groups: withEntry(result.groups, title, { ...group, title, x: Math.round(group.x + dx), y: Math.round(group.y + dy) }) };
    items.add(`group:${title}`);
  }
  const notes = [...part.notes.values()].map((note) => ({ ...note, x: Math.round(note.x + dx), y: Math.round(note.y + dy) }));
  for (let i = 0; i < notes.length; i += 1) items.add(`note:${result.notes.size + i}`);
  return { graph: notes.length ? setNotes(result, [...result.notes.values(), ...notes]) : result, items };
}

/**
 * @param {string} key
 * @param {readonly Point[]} points
 * @param {ReadonlyMap<string, string>} names
 * @param {number} dx
 * @param {number} dy
 * @returns {[string, Point[]]}
 */
function movedPoints(key, points, names, dx, dy) {
  const [id, input] = splitKey(key);
  return [`${names.get(id) ?? id}.${input}`, points.map(({ x, y }) => ({ x: Math.round(x + dx), y: Math.round(y + dy) }))];
}

/**
 * What a pasted node is given.
 * @param {Node} node
 * @param {ReadonlyMap<string, string>} names
 * @param {Graph} graph
 * @param {Graph} part
 * @param {boolean} keepLinks
 * @returns {Pick<Node, 'inputs' | 'extra'>}
 */
function translated(node, names, graph, part, keepLinks) {
  const rename = (/** @type {import('./types.js').Ref} */ ref) => ({ ...ref, name: names.get(ref.name) ?? ref.name });
  const isKnown = (/** @type {string} */ name) => names.has(name) || graph.params.has(name) || (keepLinks && graph.nodes.has(name));
  /** @param {ReadonlyMap<string, Raw>} values */
  const kept = (values) => {
    /** @type {Map<string, Raw>} */
    const found = new Map();
    for (const [key, value] of values) {
      const filled = withoutParams(value, graph, part);
      if (refsIn(filled).every((ref) => isKnown(ref.name))) found.set(key, mapRefs(filled, rename));
    }
    return found;
  };
  return { inputs: kept(node.inputs), extra: kept(node.extra) };
}

/**
 * A value with the worth of parameters that only the part has in their place.
 * @param {Raw} value
 * @param {Graph} graph
 * @param {Graph} part
 * @returns {Raw}
 */
function withoutParams(value, graph, part) {
  if (typeof value !== 'string') return value;
  let text = value;
  for (const ref of refsIn(value)) {
    const param = part.params.get(ref.name);
    if (!param || graph.params.has(ref.name)) continue;
    if (value === `$${ref.name}`) return escaped(param.value) ?? null;
    text = text.replaceAll(`\${${ref.name}}`, () => escape(String(param.value ?? '')));
  }
  return text;
}

/**
 * A title that no group has.
 * @param {Graph} graph
 * @param {string} title
 */
export function freeTitle(graph, title) {
  if (!graph.groups.has(title)) return title;
  for (let number = 2; ; number += 1) {
    const other = `${title} ${number}`;
    if (!graph.groups.has(other)) return other;
  }
}
