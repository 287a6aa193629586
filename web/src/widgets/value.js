/** Any value, as JSON; what is no JSON is a text. @module */

/** @import {Raw} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
import { parseExact } from '../net/exact.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { narrow } from './numbers.js';
import { fromText, toText } from './texts.js';

/** @param {Frame} frame @returns {Control} */
export function valueControl(frame) {
  const field = h('input', { type: 'text', class: 'widget-field', autocomplete: 'off', spellcheck: false });
  let shown = '';
  const apply = () => {
    if (field.value === shown) return;
    const read = readValue(field.value);
    if (read === undefined) return frame.say(t('widget.value.invalid'));
    frame.set(read);
  };
  field.addEventListener('change', apply);
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || ((event.ctrlKey || event.metaKey) && event.key === 's')) apply();
    if (event.key === 'Escape') field.value = shown;
  });
  return {
    element: h('span', { class: 'widget-control' }, field),
    field,
    show(value) {
      const text = writeValue(value);
      if (document.activeElement !== field || text !== shown) field.value = text;
      shown = text;
    },
  };
}

/**
 * A value as JSON; a text that cannot be taken for anything else stands as it is.
 * @param {Raw | undefined} value
 * @returns {string}
 */
export function writeValue(value) {
  if (value === null || value === undefined) return '';
  if (typeof value === 'string') return readValue(toText(value)) === value ? toText(value) : JSON.stringify(toText(value));
  return json(value);
}

/** @param {Raw} value @returns {string} */
function json(value) {
  if (typeof value === 'bigint') return String(value);
  if (Array.isArray(value)) return `[${value.map(json).join(', ')}]`;
  if (value instanceof Map) return `{${[...value].map(([key, item]) => `${JSON.stringify(key)}: ${json(item)}`).join(', ')}}`;
  return JSON.stringify(value);
}

/**
 * @param {string} text
 * @returns {Raw | undefined} undefined if it begins like JSON and is none
 */
export function readValue(text) {
  const clean = text.trim();
  if (clean === '') return null;
  if (/^-?\d+$/.test(clean)) return narrow(BigInt(clean));
  try {
    const data = parseExact(clean);
    return typeof data === 'string' ? fromText(data) : toRaw(data);
  } catch {
    return /^[[{"]/.test(clean) ? undefined : fromText(text);
  }
}

/** @param {any} data @returns {Raw} */
function toRaw(data) {
  if (Array.isArray(data)) return data.map(toRaw);
  if (data !== null && typeof data === 'object') return new Map(Object.entries(data).map(([key, item]) => [key, toRaw(item)]));
  return data;
}
