/**
 * Parameters that inputs refer to: their values, and how an input comes to one and goes from it.
 *
 * @module
 */

/** @import {Graph, InputSpec, Param, ParamType, Raw, Scalar} from './types.js' */
import { promote, renameRefs, setInput } from './graph.js';
import { escaped, isName, plain, refOf, typeOf } from './values.js';

/**
 * The parameter that a value names, if it is one of the graph.
 * @param {Graph} graph
 * @param {Raw | undefined} value
 * @returns {Param | null}
 */
export function paramOf(graph, value) {
  const ref = refOf(value);
  return (ref && ref.output === null && !graph.nodes.has(ref.name) && graph.params.get(ref.name)) || null;
}

/**
 * A raw value as a parameter has it: parameters are no references, so a dollar is one.
 * @param {Raw} raw
 * @returns {Scalar | undefined} undefined if it cannot be a parameter's
 */
export function toParamValue(raw) {
  return raw === null || typeof raw === 'object' ? undefined : /** @type {Scalar} */ (plain(raw));
}

/**
 * Make an input's value a parameter called like the input.
 * @param {Graph} graph
 * @param {string} id
 * @param {InputSpec} input
 * @param {Scalar} value
 * @returns {Graph}
 */
export function makeParam(graph, id, input, value) {
  const types = { INT: 'INT', FLOAT: 'FLOAT', STRING: 'STRING', BOOLEAN: 'BOOLEAN' };
  const type = /** @type {ParamType} */ (types[/** @type {keyof typeof types} */ (input.type)] ?? typeOf(value));
  return promote(graph, { id, input: input.name, name: input.name, type, value }).graph;
}

/**
 * Give an input the value of its parameter in place of the reference. The parameter itself stays.
 * @param {Graph} graph
 * @param {string} id
 * @param {string} input
 * @returns {Graph}
 */
export function detach(graph, id, input) {
  const param = paramOf(graph, graph.nodes.get(id)?.inputs.get(input));
  return param ? setInput(graph, id, input, escaped(param.value)) : graph;
}

/**
 * Call a parameter something else, everywhere; the graph itself if that name cannot be had.
 * @param {Graph} graph
 * @param {string} name
 * @param {string} to
 * @returns {Graph}
 */
export function renameParam(graph, name, to) {
  if (!graph.params.has(name) || nameFault(graph, name, to)) return graph;
  const renamed = renameRefs(graph, name, to);
  const params = new Map([...graph.params].map(([key, param]) => (key === name ? [to, { ...param, name: to }] : [key, param])));
  return { ...renamed, params };
}

/**
 * Why a parameter cannot be called so, as a key of the strings; null if it can.
 * @param {Graph} graph
 * @param {string} name its present one
 * @param {string} to
 */
export function nameFault(graph, name, to) {
  if (!isName(to)) return 'widget.param.badName';
  return to !== name && (graph.params.has(to) || graph.nodes.has(to)) ? 'widget.param.taken' : null;
}
