/** Yes or no. @module */

/** @import {Frame, Control} from './frame.js' */
import { h } from '../util/h.js';

/** @param {Frame} frame @returns {Control} */
export function toggleControl(frame) {
  const field = h('input', { type: 'checkbox', role: 'switch', class: 'widget-switch', onchange: () => frame.set(field.checked) });
  return {
    element: h('span', { class: 'widget-control' }, field),
    field,
    show: (value) => void (field.checked = value === true),
  };
}
