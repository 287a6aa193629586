/**
 * Workflows in workflows: what a file looks like as a node, and a part of a graph as a file.
 *
 * @module
 */

/** @import {Catalogue} from './catalogue.js' */
/** @import {Graph, InputSpec, Node, NodeSpec, Param, Raw, Ref} from './types.js' */
import { isWidget, sourceOf, specOf } from './catalogue.js';
import { fragmentOf } from './clipboard.js';
import { addNode, removeNodes } from './graph.js';
import { freeName, mapRefs, refOf, refsIn, writeRef } from './values.js';

/**
 * Whether a node type is the path of a workflow file.
 * @param {string} uses
 */
export function isPart(uses) {
  return /^\.\.?\/.*\.(?:ya?ml|json)$/.test(uses);
}

/**
 * The name on the server of a file that another one names, or null if it leads out of the folder.
 * @param {string} from name of the file that says it
 * @param {string} path
 * @returns {string | null}
 */
export function partName(from, path) {
  const parts = from.split('/').slice(0, -1);
  for (const piece of path.split('/')) {
    if (piece === '..' && parts.pop() === undefined) return null;
    if (piece !== '..' && piece !== '.' && piece !== '') parts.push(piece);
  }
  return parts.join('/');
}

/**
 * A workflow as a node type: its parameters are the inputs, its outputs the outputs.
 * @param {string} uses
 * @param {Graph} graph of the file
 * @param {Catalogue} catalogue
 * @returns {NodeSpec}
 */
export function partSpec(uses, graph, catalogue) {
  const stem = (uses.split('/').pop() ?? uses).replace(/\.\w+$/, '');
  return {
    name: uses, display_name: graph.name ?? stem, category: '', pack: '', version: 0, description: graph.description, output_node: false,
    inputs: [...graph.params.values()].map((param) => partInput(param, graph, catalogue)),
    outputs: [...graph.outputs].map(([name, value]) => ({ name, type: sourceOf(catalogue, graph, value)?.output?.type ?? '*' })),
  };
}

/**
 * @param {Param} param
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 * @returns {InputSpec}
 */
function partInput(param, graph, catalogue) {
  const used = usedAs(param.name, graph, catalogue);
  const type = param.type === 'ANY' ? used?.type ?? '*' : param.type;
  return {
    name: param.name, type, required: param.value === undefined,
    widget: type !== '*' && (used ? isWidget(used) : true),
    ...(param.value === undefined ? {} : { default: param.value }),
    ...(param.min === undefined ? {} : { min: param.min }), ...(param.max === undefined ? {} : { max: param.max }),
    ...(param.choices ? { choices: /** @type {any} */ (param.choices) } : used?.choices ? { choices: used.choices } : {}),
    ...(used?.multiline ? { multiline: true } : {}), ...(used?.control ? { control: true } : {}),
    ...(param.description ? { help: param.description } : {}),
  };
}

/**
 * The first input that a parameter goes to.
 * @param {string} name
 * @param {Graph} graph
 * @param {Catalogue} catalogue
 */
function usedAs(name, graph, catalogue) {
  for (const node of graph.nodes.values()) {
    for (const [input, value] of node.inputs) {
      if (value === writeRef(name)) return specOf(catalogue, node, graph).inputs.find((spec) => spec.name === input);
    }
  }
  return undefined;
}

/**
 * Take nodes out into a file of their own, and put one node that uses it in their place.
 * @param {Graph} graph
 * @param {ReadonlySet<string>} ids
 * @param {Catalogue} catalogue
 * @param {{name: string, uses: string}} file
 * @returns {{part: Graph, graph: Graph, id: string}}
 */
export function extractPart(graph, ids, catalogue, { name, uses }) {
  const nodes = [...graph.nodes.values()].filter((node) => ids.has(node.id));
  const { params, given, renamed } = incoming(graph, nodes, ids, catalogue);
  const rename = (/** @type {Ref} */ ref) => renamed.get(keyOf(ref)) ?? ref;
  const { outputs, named } = outgoing(graph, ids);
  const inner = fragmentOf(graph, [...ids]);
  const part = {
    ...inner, name, params,
    nodes: new Map(nodes.map((node) => [node.id, { ...node, inputs: mapRefs(node.inputs, rename), extra: mapRefs(node.extra, rename) }])),
    outputs: /** @type {ReadonlyMap<string, Raw>} */ (outputs),
  };
  const places = [...ids].flatMap((id) => graph.places.get(id) ?? []);
  const at = { x: Math.min(...places.map(({ x }) => x)), y: Math.min(...places.map(({ y }) => y)) };
  const added = addNode(graph, { id: name, uses, inputs: /** @type {ReadonlyMap<string, Raw>} */ (given) }, at);
  const relink = (/** @type {Ref} */ ref) => {
    const output = named.get(keyOf(ref));
    return output === undefined ? ref : { name: added.id, output: named.size === 1 ? null : output };
  };
  const relinked = new Map([...added.graph.nodes].map(([id, node]) => [id, ids.has(id) ? node : { ...node, inputs: mapRefs(node.inputs, relink), extra: mapRefs(node.extra, relink) }]));
  const rest = { ...added.graph, nodes: relinked, outputs: /** @type {ReadonlyMap<string, Raw>} */ (mapRefs(added.graph.outputs, relink)) };
  return { part, graph: removeNodes(rest, ids), id: added.id };
}

/** @param {Ref} ref */
function keyOf(ref) {
  return writeRef(ref.name, ref.output);
}

/**
 * What nodes take from outside: the parameters that the file gets for it, and what they are given.
 * @param {Graph} graph
 * @param {Node[]} nodes
 * @param {ReadonlySet<string>} ids
 * @param {Catalogue} catalogue
 */
function incoming(graph, nodes, ids, catalogue) {
  /** @type {Map<string, Param>} */
  const params = new Map();
  /** @type {Map<string, Raw>} */
  const given = new Map();
  /** @type {Map<string, Ref>} */
  const renamed = new Map();
  for (const node of nodes) {
    for (const [input, value] of [...node.inputs, ...node.extra]) {
      for (const ref of refsIn(value)) {
        if (ids.has(ref.name) || renamed.has(keyOf(ref)) || !(graph.nodes.has(ref.name) || graph.params.has(ref.name))) continue;
        const outer = ref.output === null ? graph.params.get(ref.name) : undefined;
        const type = sourceOf(catalogue, graph, keyOf(ref))?.output?.name.toLowerCase();
        const name = freeName(outer?.name ?? (refOf(value) ? input : type ?? 'value'), params, graph.nodes);
        params.set(name, outer ? { ...outer, name } : { name, type: 'ANY', value: undefined, long: true });
        given.set(name, keyOf(ref));
        renamed.set(keyOf(ref), { name, output: null });
      }
    }
  }
  return { params, given, renamed };
}

/**
 * What others take from the nodes: names for it, and by whom it is called what now.
 * @param {Graph} graph
 * @param {ReadonlySet<string>} ids
 */
function outgoing(graph, ids) {
  /** @type {Map<string, Raw>} */
  const outputs = new Map();
  /** @type {Map<string, string>} */
  const named = new Map();
  const values = [...graph.nodes.values()].filter((node) => !ids.has(node.id)).flatMap((node) => [...node.inputs.values(), ...node.extra.values()]);
  for (const ref of [...values, ...graph.outputs.values()].flatMap(refsIn)) {
    if (!ids.has(ref.name) || named.has(keyOf(ref))) continue;
    const name = freeName(ref.output ?? ref.name, outputs);
    outputs.set(name, keyOf(ref));
    named.set(keyOf(ref), name);
  }
  return { outputs, named };
}
