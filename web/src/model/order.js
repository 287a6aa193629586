/**
 * The order in which nodes run, and what may be linked without going in a circle.
 *
 * @module
 */

/** @import {Graph} from './types.js' */
import { linksOf } from './graph.js';
import { refsIn } from './values.js';

/**
 * The nodes, each after those that it takes from; otherwise as the file has them. Nodes in a circle come last.
 * @param {Graph} graph
 * @returns {string[]}
 */
export function runningOrder(graph) {
  /** @type {Map<string, Set<string>>} */
  const sources = new Map();
  for (const node of graph.nodes.values()) {
    const names = [...node.inputs.values()].flatMap(refsIn).map(({ name }) => name);
    sources.set(node.id, new Set(names.filter((name) => name !== node.id && graph.nodes.has(name))));
  }
  /** @type {Map<string, string[]>} */
  const followers = new Map();
  for (const [id, names] of sources) for (const name of names) followers.set(name, [...(followers.get(name) ?? []), id]);
  const order = [...sources].filter(([, names]) => names.size === 0).map(([id]) => id);
  for (const id of order) {
    for (const follower of followers.get(id) ?? []) {
      const left = /** @type {Set<string>} */ (sources.get(follower));
      left.delete(id);
      if (left.size === 0) order.push(follower);
    }
  }
  const placed = new Set(order);
  return [...order, ...[...graph.nodes.keys()].filter((id) => !placed.has(id))];
}

/**
 * The nodes that a node takes from, near and far.
 * @param {Graph} graph
 * @param {string} id
 * @returns {Set<string>}
 */
export function ancestors(graph, id) {
  /** @type {Map<string, string[]>} */
  const sources = new Map();
  for (const { from, to } of linksOf(graph)) sources.set(to, [...(sources.get(to) ?? []), from]);
  /** @type {Set<string>} */
  const found = new Set();
  const waiting = [id];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    for (const source of sources.get(next) ?? []) {
      if (found.has(source)) continue;
      found.add(source);
      waiting.push(source);
    }
  }
  return found;
}
