/**
 * How nodes are called that somebody adds, and what they begin with.
 *
 * @module
 */

/** @import {NodeSpec, Raw} from './types.js' */
import { defaultOf, isWidget } from './catalogue.js';
import { escaped } from './values.js';

/** Inputs whose name says what arrives there, better than the type of the node that gives it. */
const ROLES = new Set(['positive', 'negative']);
const WORD_ENDS = /([a-z0-9])(?=[A-Z])|([A-Z]{2})(?=[A-Z][a-z])/g;

/**
 * A readable name for a node of a type: `CLIPTextEncode` → `clip_text_encode`, `KSampler` → `ksampler`; or what it is for,
 * where an input that it feeds says so.
 * @param {string} uses
 * @param {string} [role] the name of an input
 */
export function stemOf(uses, role = '') {
  if (ROLES.has(role)) return role;
  const snake = uses.replace(/\.ya?ml$/, '').replace(/^.*\//, '').replace(WORD_ENDS, '$1$2_').toLowerCase();
  const plain = snake.replace(/[^a-z0-9]+/g, '_').slice(0, 40).replace(/^_+|_+$/g, '');
  return /^\d/.test(plain) ? `n${plain}` : plain || 'node';
}

/**
 * The values that a new node begins with: none where its type has a default; a first choice or nothing where it has to
 * be given.
 * @param {NodeSpec} spec
 * @returns {Map<string, Raw>}
 */
export function firstInputs(spec) {
  /** @type {Map<string, Raw>} */
  const inputs = new Map();
  for (const input of spec.inputs) {
    const value = input.required && input.default === undefined && isWidget(input) ? escaped(defaultOf(input)) : null;
    if (value !== null) inputs.set(input.name, value);
  }
  return inputs;
}
