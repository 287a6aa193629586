/** Places for nodes. @module */
/** @import {Catalogue} from '../model/catalogue.js' */
/** @import {Graph} from '../model/types.js' */

/** @param {Graph} graph @param {Catalogue} _catalogue @returns {Graph} */
export function autoPlace(graph, _catalogue) {
  const places = new Map(graph.places);
  let i = 0;
  for (const id of graph.nodes.keys()) {
    if (!places.has(id)) places.set(id, { x: (i % 4) * 300, y: Math.floor(i / 4) * 300, auto: true });
    i += 1;
  }
  return { ...graph, places };
}

/** @param {Graph} graph @param {Catalogue} _catalogue @param {string[]} [_ids] @returns {Promise<Graph>} */
export async function arrange(graph, _catalogue, _ids) {
  return graph;
}
