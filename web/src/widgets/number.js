/**
 * Numbers: dragged sideways, stepped with the arrow keys, or typed.
 *
 * @module
 */

/** @import {Frame, Control} from './frame.js' */
/** @import {Num} from './numbers.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { exactLimit, formatNumber, parseNumber, stepBy } from './numbers.js';

/** How many pixels make a step, and how many are still a click. */
const PIXELS = 4;
const SLACK = 3;

/** @param {Frame} frame @returns {Control} */
export function numberControl(frame) {
  const field = h('input', {
    type: 'text', inputMode: 'decimal', class: 'widget-field number', role: 'spinbutton', autocomplete: 'off', spellcheck: false,
  });
  const state = { shown: '', valueNow: /** @type {unknown} */ (null), merge: '' };
  const element = h('span', { class: 'widget-control' }, field);
  addTyping(frame, field, state);
  const destroy = addDragging(frame, field);
  return {
    element, field, destroy,
    show(value) {
      const { input } = frame;
      const text = formatNumber(value, input);
      const typing = document.activeElement === field && field.value !== state.shown;
      if (!typing || text !== state.shown) {
        field.value = text;
        frame.fault = '';
      }
      state.shown = text;
      field.title = text.length > 9 ? text : '';
      describe(field, value, input);
    },
  };
}

/**
 * @param {HTMLElement} field
 * @param {unknown} value
 * @param {import('../model/types.js').InputSpec} input
 */
function describe(field, value, input) {
  const [min, max] = [exactLimit(input.min), exactLimit(input.max)];
  field.setAttribute('aria-valuenow', String(value ?? ''));
  if (min !== undefined) field.setAttribute('aria-valuemin', String(min));
  if (max !== undefined) field.setAttribute('aria-valuemax', String(max));
}

/**
 * @param {Frame} frame
 * @param {HTMLInputElement} field
 * @param {{shown: string, merge: string}} state
 */
function addTyping(frame, field, state) {
  const apply = () => {
    if (field.value === state.shown) return frame.say('');
    const parsed = parseNumber(field.value, frame.input);
    if ('fault' in parsed) return frame.say(t(parsed.fault, { limit: parsed.limit ?? '', text: field.value }));
    state.shown = field.value;
    frame.set(parsed.value);
    field.value = state.shown = formatNumber(parsed.value, frame.input);
  };
  field.addEventListener('focus', () => {
    state.merge = frame.newMerge();
    field.select();
  });
  field.addEventListener('blur', apply);
  field.addEventListener('dblclick', () => field.select());
  field.addEventListener('input', () => {
    const parsed = parseNumber(field.value, frame.input);
    if (!('fault' in parsed)) frame.say('');
  });
  field.addEventListener('keydown', (event) => {
    // What saves or runs the file takes what was typed here along.
    if ((event.ctrlKey || event.metaKey) && ['Enter', 's', 'S'].includes(event.key)) return apply();
    if (event.key === 'Enter') {
      event.preventDefault();
      apply();
      field.select();
    } else if (event.key === 'Escape') {
      event.stopPropagation();
      const typed = field.value !== state.shown;
      field.value = state.shown;
      frame.say('');
      if (typed) field.select();
      else frame.leave();
    } else if (event.key === 'ArrowUp' || event.key === 'ArrowDown' || event.key === 'PageUp' || event.key === 'PageDown') {
      event.preventDefault();
      event.stopPropagation();
      const parsed = parseNumber(field.value, frame.input);
      const from = 'value' in parsed ? parsed.value : frame.value;
      const up = event.key.endsWith('Up') ? 1 : -1;
      step(frame, from, up, event.key.startsWith('Page') ? 10 : scaleOf(event), state.merge);
      field.select();
    }
  });
}

/** @param {{shiftKey: boolean, altKey: boolean}} event */
function scaleOf({ shiftKey, altKey }) {
  return shiftKey ? 10 : altKey ? 0.1 : 1;
}

/**
 * @param {Frame} frame
 * @param {unknown} from
 * @param {number} count
 * @param {number} scale
 * @param {string} merge
 */
function step(frame, from, count, scale, merge) {
  const start = typeof from === 'bigint' || typeof from === 'number' ? from : 0;
  const next = stepBy(start, frame.input, count, scale);
  frame.set(next, merge);
}

/**
 * Answers what ends a drag, for when the field goes from the page in the middle of one.
 * @param {Frame} frame
 * @param {HTMLInputElement} field
 */
function addDragging(frame, field) {
  /** @type {(() => void) | null} */
  let release = null;
  field.addEventListener('pointerdown', (event) => {
    if (event.button !== 0 || field.disabled || document.activeElement === field) return;
    event.preventDefault();
    const startX = event.clientX;
    const from = frame.value;
    const merge = frame.newMerge();
    let scale = scaleOf(event);
    let [base, baseX] = [/** @type {Num} */ (typeof from === 'bigint' || typeof from === 'number' ? from : 0), startX];
    const move = (/** @type {PointerEvent} */ moved) => {
      if (!release && Math.abs(moved.clientX - startX) < SLACK) return;
      release ??= frame.context.session.hold();
      field.classList.add('dragging');
      if (scaleOf(moved) !== scale) {
        // Other keys held from here on: what was reached stays.
        base = /** @type {Num} */ (frame.value);
        baseX = moved.clientX;
        scale = scaleOf(moved);
      }
      step(frame, base, Math.trunc((moved.clientX - baseX) / PIXELS), scale, merge);
    };
    const end = (/** @type {Event} */ ended) => {
      field.removeEventListener('pointermove', move);
      for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) field.removeEventListener(name, end);
      field.classList.remove('dragging');
      if (!release && ended.type === 'pointerup') field.focus();
      release?.();
      release = null;
    };
    field.setPointerCapture(event.pointerId);
    field.addEventListener('pointermove', move);
    for (const name of ['pointerup', 'pointercancel', 'lostpointercapture']) field.addEventListener(name, end);
  });
  return () => release?.();
}
