/**
 * What a word of a workflow means: a node type, an input, a reference, a key of the format.
 *
 * @module
 */

/** @import {Graph, InputSpec, NodeSpec} from '../../model/types.js' */
/** @import {Catalogue} from '../../model/catalogue.js' */
import { outputIndex, specOf } from '../../model/catalogue.js';
import { refOf } from '../../model/values.js';
import { writeExact } from '../../net/exact.js';
import { NODE_KEYS, PARAM_KEYS, ROOT_KEYS, specAt } from './complete.js';
import { partAround } from './nodes.js';
import { whereAt } from './where.js';

/**
 * `key` names a string with help for keys of the format itself; else `help` is from the catalogue.
 * @typedef {{from: number, to: number, title: string, facts: string[], help: string, key?: string}} Meaning
 */

const MOST_CHOICES = 8;

/**
 * What the word at `pos` means.
 * @param {string} text
 * @param {number} pos
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @returns {Meaning | null}
 */
export function meaningAt(text, pos, catalogue, graph) {
  const part = partAround(text, pos);
  const found = inPart(part.text, part.pos, catalogue, graph);
  return found && { ...found, from: found.from + part.shift, to: found.to + part.shift };
}

/**
 * @param {string} text
 * @param {number} pos
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @returns {Meaning | null}
 */
function inPart(text, pos, catalogue, graph) {
  const { from, to } = whereAt(text, pos);
  if (from === to) return null;
  const where = whereAt(text, to);
  const word = text.slice(from, to);
  const path = where.path.filter((key) => key !== '[]');
  const [section, name, part] = path;
  if (where.at === 'value') {
    if (section === 'nodes' && part === 'uses' && path.length === 3) {
      const spec = catalogue.specs.get(word);
      return spec ? { from, to, ...ofType(spec) } : null;
    }
    const meaning = ofReference(word, catalogue, graph);
    return meaning ? { from, to, ...meaning } : null;
  }
  if (where.at !== 'key') return null;
  if (section === 'nodes' && name !== undefined && part === 'with' && path.length === 3) {
    const input = specAt(text, from, name, catalogue, graph)?.inputs.find((each) => each.name === word);
    return input ? { from, to, ...ofInput(input) } : null;
  }
  const key = keyOf(path, word);
  return key ? { from, to, title: word, facts: [], help: '', key } : null;
}

/**
 * @param {string[]} path
 * @param {string} word
 */
function keyOf(path, word) {
  if (path.length === 0) return ROOT_KEYS.includes(word) ? `yaml.help.root.${word}` : null;
  if (path.length !== 2) return null;
  if (path[0] === 'nodes') return NODE_KEYS.includes(word) ? `yaml.help.node.${word}` : null;
  return path[0] === 'params' && PARAM_KEYS.includes(word) ? `yaml.help.param.${word}` : null;
}

/** @param {NodeSpec} spec */
function ofType(spec) {
  const outputs = spec.outputs.map((output) => output.name).join(', ');
  const facts = [spec.name, spec.category, ...(outputs ? [`→ ${outputs}`] : [])].filter(
    (fact) => fact && fact !== spec.display_name,
  );
  return { title: spec.display_name, facts, help: spec.description };
}

/** @param {InputSpec} input */
function ofInput(input) {
  const facts = [input.type];
  if (input.min !== undefined || input.max !== undefined) facts.push(`${input.min ?? ''}…${input.max ?? ''}`);
  if (input.default !== undefined && input.default !== null) facts.push(`= ${writeExact(input.default)}`);
  const choices = input.choices ?? [];
  if (choices.length)
    facts.push(choices.slice(0, MOST_CHOICES).join(', ') + (choices.length > MOST_CHOICES ? ', …' : ''));
  return { title: input.name, facts, help: input.help ?? '' };
}

/**
 * @param {string} word
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 */
function ofReference(word, catalogue, graph) {
  const ref = refOf(word);
  if (!ref) return null;
  const param = graph.params.get(ref.name);
  if (param)
    return { title: word, facts: [param.type, `= ${String(param.value ?? '')}`], help: param.description ?? '' };
  const node = graph.nodes.get(ref.name);
  if (!node) return null;
  const spec = specOf(catalogue, node, graph);
  const output = spec.outputs[outputIndex(spec, ref)];
  return {
    title: node.title ?? node.id,
    facts: [spec.display_name, ...(output ? [output.type] : [])],
    help: output?.help ?? '',
  };
}
