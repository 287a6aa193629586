/** A parameter of a workflow as a field of a form. @module */
/** @import {App} from '../app.js' */
/** @import {Graph, InputSpec, Param, Scalar} from '../model/types.js' */
import { specOf } from '../model/catalogue.js';
import { refsIn } from '../model/values.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { narrow } from '../widgets/numbers.js';

/**
 * What is known of a parameter: what it says itself, and what the inputs say that take it.
 * @typedef {{
 *   param: Param, kind: 'choice' | 'toggle' | 'number' | 'integer' | 'long' | 'text', choices: readonly Scalar[],
 *   min?: number | bigint, max?: number | bigint, step?: number, seed: boolean, help: string,
 * }} Facts
 */

/**
 * @param {App} app
 * @param {Graph} graph
 * @param {Param} param
 * @returns {Facts}
 */
export function factsOf(app, graph, param) {
  const inputs = takersOf(app, graph, param.name);
  const whole = inputs.filter(({ isWhole }) => isWhole).map(({ input }) => input);
  const choices = param.choices ?? whole.find((input) => input.choices?.length)?.choices ?? [];
  const kind = kindOf(param, choices, inputs.map(({ input }) => input));
  const limit = (/** @type {'min' | 'max'} */ key, /** @type {(a: number | bigint, b: number | bigint) => boolean} */ isTighter) => whole
    .map((input) => input[key]).reduce((best, value) => (value !== undefined && (best === undefined || isTighter(value, best)) ? value : best), param[key]);
  return {
    param, kind, choices, min: limit('min', (a, b) => a > b), max: limit('max', (a, b) => a < b), step: whole.find((input) => input.step)?.step,
    seed: whole.some((input) => input.control), help: param.description ?? whole.find((input) => input.help)?.help ?? '',
  };
}

/** The inputs that a parameter goes to, and whether it is all of their value. @param {App} app @param {Graph} graph @param {string} name @returns {{input: InputSpec, isWhole: boolean}[]} */
function takersOf(app, graph, name) {
  return [...graph.nodes.values()].flatMap((node) => {
    const spec = specOf(app.catalogue.get(), node, graph);
    return [...node.inputs].flatMap(([key, value]) => {
      const input = spec.inputs.find((each) => each.name === key);
      return input && refsIn(value).some((ref) => ref.name === name) ? [{ input, isWhole: value === `$${name}` }] : [];
    });
  });
}

/** @param {Param} param @param {readonly Scalar[]} choices @param {InputSpec[]} inputs @returns {Facts['kind']} */
function kindOf({ type, value }, choices, inputs) {
  if (choices.length) return 'choice';
  if (type === 'BOOLEAN') return 'toggle';
  if (type === 'FLOAT') return 'number';
  if (type === 'INT') return inputs.some((input) => input.type === 'FLOAT') ? 'number' : 'integer';
  const isLong = inputs.some((input) => input.multiline) || (typeof value === 'string' && value.includes('\n'));
  return isLong ? 'long' : 'text';
}

/**
 * What a text means as a value of a parameter; words for what is wrong with it otherwise.
 * @param {Facts} facts
 * @param {string} text
 * @returns {{value: Scalar} | {fault: string}}
 */
export function readValue({ kind, min, max }, text) {
  if (kind !== 'integer' && kind !== 'number') return { value: text };
  const clean = text.trim();
  if (kind === 'integer' && !/^[-+]?\d{1,40}$/.test(clean)) return { fault: t('form.notInteger') };
  if (!/^[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?$/.test(clean)) return { fault: t('form.notNumber') };
  const value = /^[-+]?\d+$/.test(clean) ? narrow(BigInt(clean)) : Number(clean);
  if (min !== undefined && value < min) return { fault: t('form.tooSmall', { min: String(min) }) };
  if (max !== undefined && value > max) return { fault: t('form.tooLarge', { max: String(max) }) };
  return { value };
}

/**
 * The field itself. `change` gets each good value.
 * @param {Facts} facts
 * @param {string} id
 * @param {(value: Scalar) => void} change
 * @returns {{element: HTMLElement, set: (value: Scalar | undefined) => void}}
 */
export function makeField(facts, id, change) {
  const { kind, choices } = facts;
  if (kind === 'toggle') {
    const box = h('input', { type: 'checkbox', id, onchange: () => change(box.checked) });
    return { element: box, set: (value) => void (box.checked = value === true) };
  }
  if (kind === 'choice') {
    const select = h('select', { id, onchange: () => change(choices[Number(select.value)] ?? null) }, ...choices.map((choice, i) => h('option', { value: String(i) }, String(choice))));
    return { element: select, set: (value) => void (select.value = String(choices.findIndex((choice) => choice == value))) };
  }
  const field = kind === 'long' ? h('textarea', { id, rows: 4, spellcheck: false })
    : h('input', { id, type: 'text', inputMode: kind === 'text' ? 'text' : kind === 'integer' ? 'numeric' : 'decimal', spellcheck: false, autocomplete: 'off' });
  const fault = h('p', { class: 'fault', id: `${id}-fault`, role: 'alert' });
  field.setAttribute('aria-describedby', fault.id);
  field.addEventListener('input', () => {
    const read = readValue(facts, field.value);
    const wrong = 'fault' in read ? read.fault : '';
    fault.textContent = wrong;
    field.setAttribute('aria-invalid', String(wrong !== ''));
    if ('value' in read) change(read.value);
  });
  const set = (/** @type {Scalar | undefined} */ value) => {
    const text = value === undefined || value === null ? '' : String(value);
    // What is being typed stays, as long as it means the same.
    const read = readValue(facts, field.value);
    if (document.activeElement === field && 'value' in read && String(read.value) === text) return;
    if (document.activeElement === field && 'fault' in read) return;
    field.value = text;
  };
  return { element: h('div', {}, field, fault), set };
}
