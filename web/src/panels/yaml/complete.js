/**
 * What could stand at a place of a workflow: keys, node types, inputs, choices, references.
 *
 * @module
 */

/** @import {Graph, InputSpec, Node, NodeSpec, ParamType} from '../../model/types.js' */
/** @import {Catalogue} from '../../model/catalogue.js' */
/** @import {Where} from './where.js' */
import { accepts, isWidget, outputName, specOf } from '../../model/catalogue.js';
import { renderScalar } from '../../model/render.js';
import { escaped } from '../../model/values.js';
import { writeRef } from '../../model/values.js';
import { partAround } from './nodes.js';
import { usesAt, whereAt } from './where.js';

/**
 * A thing to complete. `insert` is what is written, where it is more than the label; `key` names a string with help for
 * keys of the format itself, `help` is help that comes from the catalogue.
 * @typedef {{
 *   label: string, kind: 'key' | 'type' | 'input' | 'value' | 'node' | 'param', detail?: string, help?: string, key?: string,
 *   insert?: string, boost?: number,
 * }} Option
 */

/** @typedef {{from: number, to: number, options: Option[]}} Options */

export const ROOT_KEYS = [
  'nodegraph',
  'name',
  'description',
  'params',
  'foreach',
  'matrix',
  'nodes',
  'outputs',
  'groups',
  'notes',
  'layout',
];
export const NODE_KEYS = [
  'uses',
  'with',
  'when',
  'title',
  'note',
  'mode',
  'cache',
  'foreach',
  'matrix',
  'pack',
  'models',
];
export const PARAM_KEYS = ['type', 'default', 'min', 'max', 'choices', 'description'];
const MAPPINGS = new Set(['params', 'foreach', 'matrix', 'nodes', 'outputs', 'groups', 'layout', 'with']);
/** @type {ReadonlyMap<string, string[]>} */
const VALUES = new Map([
  ['mode', ['run', 'muted', 'bypassed']],
  ['cache', ['auto', 'off', 'refresh', 'memory']],
]);
const PARAM_TYPES = ['STRING', 'INT', 'FLOAT', 'BOOLEAN', 'ANY'];

/**
 * What could be written at `pos`.
 * @param {string} text
 * @param {number} pos
 * @param {Catalogue} catalogue
 * @param {Graph} graph as the text was last understood
 * @param {boolean} asked whether somebody asked for it; else there is no answer where it would be in the way
 * @returns {Options | null}
 */
export function completeAt(text, pos, catalogue, graph, asked) {
  const part = partAround(text, pos);
  // at the left edge below the last node the next key of the file may be meant
  if (part.shift === 0 || whereAt(part.text, part.pos).path.length === 0)
    return inPart(text, pos, catalogue, graph, asked);
  const found = inPart(part.text, part.pos, catalogue, graph, asked);
  return found && { ...found, from: found.from + part.shift, to: found.to + part.shift };
}

/**
 * @param {string} text
 * @param {number} pos
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @param {boolean} asked
 * @returns {Options | null}
 */
function inPart(text, pos, catalogue, graph, asked) {
  const where = whereAt(text, pos);
  if (where.at === 'comment') return null;
  if (where.at === 'text') return placeholders(text, where, graph);
  const eager = asked || where.typed !== '';
  if (where.at === 'key') return eager ? keys(text, where, catalogue, graph) : null;
  return values(text, where, catalogue, graph, asked);
}

/**
 * @param {string} text
 * @param {Where} where
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @returns {Options | null}
 */
function keys(text, where, catalogue, graph) {
  const { path } = where;
  const [section, name, part] = path;
  if (path.length === 0) return options(text, where, formatKeys(ROOT_KEYS, 'root', where, rootKeys(text)));
  if (section === 'params' && path.length === 2)
    return options(text, where, formatKeys(PARAM_KEYS, 'param', where, new Set()));
  if (section === 'layout' && path.length === 1)
    return options(
      text,
      where,
      [...graph.nodes.keys()].map((label) => keyOption(label, 'key')),
    );
  if (section !== 'nodes' || name === undefined) return null;
  const taken = keysBeside(text, where);
  if (path.length === 2) return options(text, where, formatKeys(NODE_KEYS, 'node', where, taken));
  if ((part !== 'with' && part !== 'foreach' && part !== 'matrix') || path.length !== 3) return null;
  const spec = specAt(text, where.from, name, catalogue, graph);
  if (!spec) return null;
  return options(
    text,
    where,
    spec.inputs
      .filter((input) => !taken.has(input.name))
      .map((input, index) => ({
        ...keyOption(input.name, 'input'),
        detail: input.required ? `${input.type} *` : input.type,
        help: input.help ?? '',
        boost: (input.required ? 50 : 0) - Math.min(index, 49),
      })),
  );
}

/**
 * @param {string} text
 * @param {Where} where
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @param {boolean} asked
 * @returns {Options | null}
 */
function values(text, where, catalogue, graph, asked) {
  const path = where.path.filter((key) => key !== '[]');
  const [section, name, part, input] = path;
  if (section === 'nodegraph' && path.length === 1) return options(text, where, [{ label: '1', kind: 'value' }]);
  if (section === 'params' && part === 'type')
    return options(
      text,
      where,
      PARAM_TYPES.map((label) => ({ label, kind: 'value' })),
    );
  if (section === 'outputs' && path.length === 2) return options(text, where, references(catalogue, graph, null, null));
  if (section !== 'nodes' || name === undefined || part === undefined) return null;
  if (part === 'uses' && path.length === 3) return options(text, where, types(catalogue));
  if (VALUES.has(part) && path.length === 3)
    return options(
      text,
      where,
      (VALUES.get(part) ?? []).map((label) => ({ label, kind: 'value' })),
    );
  if (part === 'when')
    return options(text, where, references(catalogue, graph, name, { name: 'when', type: 'BOOLEAN', required: true }));
  if (part !== 'with' || input === undefined || path.length !== 4) return null;
  const spec = specAt(text, where.from, name, catalogue, graph)?.inputs.find((each) => each.name === input) ?? null;
  const found = [
    ...(where.typed.startsWith('$') ? [] : choices(spec, where)),
    ...references(catalogue, graph, name, spec),
  ];
  // a text or a number being typed is not to be covered by parameters that it could be instead
  const quiet =
    !asked &&
    !where.typed.startsWith('$') &&
    !spec?.choices &&
    spec?.type !== 'BOOLEAN' &&
    (spec === null || isWidget(spec));
  return quiet ? null : options(text, where, found);
}

/**
 * Parameters for `${…}` inside a text.
 * @param {string} text
 * @param {Where} where
 * @param {Graph} graph
 * @returns {Options | null}
 */
function placeholders(text, where, graph) {
  const opened = /\$\{([\w-]*)$/.exec(text.slice(Math.max(0, where.from - 80), where.from + where.typed.length));
  if (!opened) return null;
  const to = where.from + where.typed.length;
  const closed = text[where.to] === '}';
  const found = [...graph.params.values()].map((param) => paramOption(param, param.name, closed ? '' : '}'));
  return { from: to - (opened[1]?.length ?? 0), to: closed ? where.to : to, options: found };
}

/**
 * @param {string} text
 * @param {Where} where
 * @param {Option[]} found
 * @returns {Options | null}
 */
function options(text, where, found) {
  if (found.length === 0) return null;
  // a key that has its colon already only gets another name
  const named = where.at === 'key' && /^\s*:/.test(text.slice(where.to, where.to + 20));
  return { from: where.from, to: where.to, options: named ? found.map(({ insert: _, ...option }) => option) : found };
}

/**
 * @param {readonly string[]} names
 * @param {'root' | 'node' | 'param'} owner
 * @param {Where} where
 * @param {ReadonlySet<string>} taken
 * @returns {Option[]}
 */
function formatKeys(names, owner, where, taken) {
  return names
    .filter((name) => !taken.has(name))
    .map((name, index) => ({
      label: name,
      kind: /** @type {const} */ ('key'),
      key: `yaml.help.${owner}.${name}`,
      boost: 20 - index,
      insert: MAPPINGS.has(name)
        ? where.flow
          ? `${name}: {`
          : `${name}:\n${' '.repeat(where.indent + 2)}`
        : name === 'nodegraph'
          ? `${name}: 1`
          : `${name}: `,
    }));
}

/**
 * @param {string} label
 * @param {Option['kind']} kind
 * @returns {Option}
 */
function keyOption(label, kind) {
  return { label, kind, insert: `${label}: ` };
}

/**
 * The keys at the top of a file.
 * @param {string} text
 */
function rootKeys(text) {
  return new Set([...text.matchAll(/^([a-z]+):(?=\s|$)/gm)].map((match) => match[1] ?? ''));
}

/**
 * The keys that the mapping of a key has already, on the lines around it with the same indentation or between the same
 * brackets.
 * @param {string} text
 * @param {Where} where
 */
function keysBeside(text, where) {
  /** @type {Set<string>} */
  const found = new Set();
  const path = where.path.join('\n');
  const from = Math.max(0, where.from - 4000);
  for (const match of text.slice(from, where.to + 4000).matchAll(/([A-Za-z_][\w-]*)\s*:(?=\s|$)/g)) {
    const at = from + match.index;
    if (at >= where.from && at <= where.to) continue;
    const other = whereAt(text, at);
    if (other.at === 'key' && other.path.join('\n') === path) found.add(match[1] ?? '');
  }
  return found;
}

/**
 * @param {Catalogue} catalogue
 * @returns {Option[]}
 */
function types(catalogue) {
  return [...catalogue.specs.values()].map((spec) => ({
    label: spec.name,
    kind: 'type',
    detail: spec.display_name === spec.name ? spec.category : `${spec.display_name} · ${spec.category}`,
    help: spec.description,
    boost: spec.deprecated ? -50 : spec.experimental ? -10 : 0,
  }));
}

/**
 * @param {InputSpec | null} input
 * @param {Where} where
 * @returns {Option[]}
 */
function choices(input, where) {
  const found = input?.choices ?? (input?.type === 'BOOLEAN' ? [true, false] : []);
  return found.map((choice, index) => {
    const label = String(choice);
    const insert = renderScalar(escaped(choice), { flow: where.flow });
    return { label, kind: 'value', ...(insert === label ? {} : { insert }), boost: 99 - Math.min(index, 99) };
  });
}

/**
 * References that fit into an input: outputs of other nodes, parameters.
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @param {string | null} into the node
 * @param {InputSpec | null} input
 * @returns {Option[]}
 */
function references(catalogue, graph, into, input) {
  /** @type {Option[]} */
  const found = [];
  for (const node of graph.nodes.values()) {
    if (node.id === into) continue;
    const spec = specOf(catalogue, node, graph);
    spec.outputs.forEach((output, index) => {
      if (input && !accepts(input.type, output.type)) return;
      const label = writeRef(node.id, outputName(spec, index));
      found.push({ label, kind: 'node', detail: output.type, help: node.title ?? spec.display_name, boost: 10 });
    });
  }
  for (const param of graph.params.values()) {
    if (!input || !isWidget(input) || !fits(input.type, param.type)) continue;
    found.push(paramOption(param, writeRef(param.name), ''));
  }
  return found;
}

/**
 * @param {import('../../model/types.js').Param} param
 * @param {string} label
 * @param {string} end
 * @returns {Option}
 */
function paramOption(param, label, end) {
  const value = param.value === undefined ? '' : ` = ${String(param.value).slice(0, 40)}`;
  return {
    label,
    kind: 'param',
    detail: `${param.type}${value}`,
    help: param.description ?? '',
    ...(end ? { insert: label + end } : {}),
  };
}

/**
 * @param {string} wanted
 * @param {ParamType} offered
 */
function fits(wanted, offered) {
  return offered === 'ANY' || accepts(wanted, offered);
}

/**
 * The type of a node, as its lines say now, or as the graph last had it.
 * @param {string} text
 * @param {number} pos
 * @param {string} id
 * @param {Catalogue} catalogue
 * @param {Graph} graph
 * @returns {NodeSpec | null}
 */
export function specAt(text, pos, id, catalogue, graph) {
  const uses = usesAt(text, pos) ?? graph.nodes.get(id)?.uses;
  return (uses !== undefined && catalogue.specs.get(uses)) || null;
}
