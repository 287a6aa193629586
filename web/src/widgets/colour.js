/** Colours, as `#rrggbb` or as one number. @module */

/** @import {Raw} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';

/** @param {Frame} frame @returns {Control} */
export function colourControl(frame) {
  const field = h('input', { type: 'text', class: 'widget-field', autocomplete: 'off', spellcheck: false });
  const well = h('input', { type: 'color', class: 'widget-well', 'aria-label': t('widget.colour.choose', { name: frame.context.input.name }) });
  const isNumber = () => frame.input.type === 'INT';
  let shown = '';
  let merge = '';
  well.addEventListener('focus', () => void (merge = frame.newMerge()));
  well.addEventListener('input', () => frame.set(isNumber() ? Number.parseInt(well.value.slice(1), 16) : well.value, merge));
  const apply = () => {
    if (field.value === shown) return;
    const hex = toHex(field.value.trim());
    if (hex === null) frame.say(t('widget.colour.invalid'));
    else frame.set(isNumber() ? Number.parseInt(hex.slice(1), 16) : hex);
  };
  field.addEventListener('change', apply);
  field.addEventListener('keydown', (event) => {
    if (event.key === 'Enter' || ((event.ctrlKey || event.metaKey) && event.key === 's')) apply();
  });
  return {
    element: h('span', { class: 'widget-control' }, well, field),
    field,
    disable: (disabled) => void (well.disabled = disabled),
    show(value) {
      const hex = toHex(value);
      shown = hex ?? String(value ?? '');
      if (document.activeElement !== field) field.value = shown;
      if (hex !== null) well.value = hex;
    },
  };
}

/**
 * A colour as `#rrggbb`; null if it is none.
 * @param {Raw | undefined} value
 */
export function toHex(value) {
  if (typeof value === 'number') return value >= 0 && value <= 0xffffff ? `#${Math.trunc(value).toString(16).padStart(6, '0')}` : null;
  if (typeof value !== 'string') return null;
  const match = /^#?([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(value);
  if (!match) return null;
  const digits = /** @type {string} */ (match[1]).toLowerCase();
  return `#${digits.length === 3 ? [...digits].map((digit) => digit + digit).join('') : digits}`;
}
