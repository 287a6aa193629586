/**
 * The node types that a server has, and which sockets fit which.
 *
 * @module
 */

/** @import {Graph, InputSpec, Node, NodeSpec, OutputSpec, Raw, Ref} from './types.js' */
import { refOf } from './values.js';

/**
 * @typedef {{
 *   readonly specs: ReadonlyMap<string, NodeSpec>,
 *   readonly sockets: ReadonlyMap<string, {colour: string, description: string}>,
 *   readonly broken: readonly {name: string, reason: string, details?: string}[],
 * }} Catalogue
 */

/** @type {Catalogue} */
export const EMPTY_CATALOGUE = { specs: new Map(), sockets: new Map(), broken: [] };

/**
 * The catalogue of the server's answer to /api/v1/nodes.
 * @param {any} data
 * @returns {Catalogue}
 */
export function readCatalogue(data) {
  return {
    specs: new Map(Object.entries(data.nodes ?? {})),
    sockets: new Map(Object.entries(data.sockets ?? {})),
    broken: data.broken ?? [],
  };
}

/**
 * The type of a node. One that the catalogue lacks gets a type made of what the graph says about it, so that it can be
 * drawn, with `missing` set.
 * @param {Catalogue} catalogue
 * @param {Node} node
 * @param {Graph} graph
 * @returns {NodeSpec}
 */
export function specOf(catalogue, node, graph) {
  return catalogue.specs.get(node.uses) ?? missingSpec(node, graph);
}

/** @type {WeakMap<Node, {graph: Graph, spec: NodeSpec}>} */
const missing = new WeakMap();

/**
 * @param {Node} node
 * @param {Graph} graph
 * @returns {NodeSpec}
 */
function missingSpec(node, graph) {
  const known = missing.get(node);
  if (known && known.graph.nodes === graph.nodes) return known.spec;
  /** @type {Set<string>} */
  const outputs = new Set();
  for (const other of graph.nodes.values()) {
    for (const value of other.inputs.values()) {
      const ref = refOf(value);
      if (ref?.name === node.id) outputs.add(ref.output ?? 'output');
    }
  }
  const spec = {
    name: node.uses, display_name: node.uses, category: '', pack: '', version: 0, description: '', output_node: false,
    inputs: [...node.inputs].map(([name, value]) => ({
      name, type: '*', required: false, default: value, widget: refOf(value) === null,
    })),
    outputs: [...outputs].map((name) => ({ name, type: '*' })),
    missing: true,
  };
  missing.set(node, { graph, spec });
  return spec;
}

/**
 * The output that a reference to a node means: by name whatever its case, by number, or the only one.
 * @param {NodeSpec} spec
 * @param {Ref} ref
 * @returns {number} its place, or -1
 */
export function outputIndex(spec, ref) {
  const { output } = ref;
  if (output === null) return spec.outputs.length === 1 || spec.missing ? 0 : -1;
  const exact = spec.outputs.findIndex((out) => out.name === output);
  if (exact >= 0) return exact;
  const loose = spec.outputs.findIndex((out) => out.name.toLowerCase() === output.toLowerCase());
  if (loose >= 0) return loose;
  return /^\d+$/.test(output) && Number(output) < spec.outputs.length ? Number(output) : -1;
}

/**
 * How a link names an output of a node: nothing for the only one, its name, or its number where the name is taken or
 * cannot be written.
 * @param {NodeSpec} spec
 * @param {number} index
 * @returns {string | null}
 */
export function outputName(spec, index) {
  if (spec.outputs.length === 1) return spec.missing && spec.outputs[0]?.name !== 'output' ? spec.outputs[0]?.name ?? null : null;
  const name = spec.outputs[index]?.name.toLowerCase() ?? String(index);
  const plain = /^[A-Za-z0-9_][A-Za-z0-9_-]{0,99}$/.test(name);
  const alone = spec.outputs.filter((out) => out.name.toLowerCase() === name).length === 1;
  return plain && alone ? name : String(index);
}

/** @param {string} type */
function members(type) {
  return type.split('|').map((name) => name.trim());
}

/**
 * Whether an input of one type may be fed with what an output gives, by the rules of the server's checker: whole numbers
 * where decimal ones are wanted, texts and numbers where a choice is wanted, a union when each member is.
 * @param {string} wanted
 * @param {string} offered
 */
export function accepts(wanted, offered) {
  const takes = members(wanted);
  const gives = members(offered);
  if (isAny(takes) || isAny(gives)) return true;
  return gives.every((name) =>
    takes.includes(name)
    || (name === 'INT' && (takes.includes('FLOAT') || takes.includes('COMBO')))
    || (name === 'STRING' && takes.includes('COMBO'))
    || (name === 'COMBO' && takes.includes('STRING')));
}

/** `*`, and the names of generic types, which are no types of their own. @param {string[]} names */
function isAny(names) {
  return names.some((name) => name === '*' || /^[A-Z]$|^Any[A-Z]/.test(name));
}

/**
 * The colour of a socket type.
 * @param {Catalogue} catalogue
 * @param {string} type
 */
export function colourOf(catalogue, type) {
  return catalogue.sockets.get(members(type)[0] ?? '*')?.colour ?? catalogue.sockets.get('*')?.colour ?? '#9aa0a6';
}

/**
 * Whether an input is drawn as a widget when no link arrives.
 * @param {InputSpec} input
 */
export function isWidget(input) {
  if (input.widget !== undefined) return input.widget;
  return ['INT', 'FLOAT', 'STRING', 'BOOLEAN', 'COMBO'].includes(input.type);
}

/**
 * The output that a value of an input comes from, if it is a link between nodes.
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @param {Raw | undefined} value
 * @returns {{node: Node, spec: NodeSpec, index: number, output: OutputSpec | undefined} | null}
 */
export function sourceOf(catalogue, graph, value) {
  const ref = refOf(value);
  const node = ref && graph.nodes.get(ref.name);
  if (!ref || !node) return null;
  const spec = specOf(catalogue, node, graph);
  const index = outputIndex(spec, ref);
  return { node, spec, index, output: spec.outputs[index] };
}

/**
 * The value that an input has when the file gives none.
 * @param {InputSpec} input
 * @returns {Raw}
 */
export function defaultOf(input) {
  if (input.default !== undefined) return input.default;
  if (input.choices?.length) return input.choices[0] ?? null;
  const byType = { INT: input.min && input.min > 0 ? input.min : 0, FLOAT: Number(input.min ?? 0) > 0 ? Number(input.min) : 0, STRING: '', BOOLEAN: false };
  return byType[/** @type {keyof typeof byType} */ (input.type)] ?? null;
}
