/**
 * Texts of one line and of many. Names are completed, and in the long ones Ctrl+Up and Ctrl+Down change weights.
 *
 * @module
 */

/** @import {Raw} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { addCompletion } from './completion.js';
import { changeWeight, fromText, toText } from './texts.js';

/** @param {Raw} value */
function textOf(value) {
  if (value === null || value === undefined) return '';
  return typeof value === 'string' ? toText(value) : String(value);
}

/**
 * Write what is typed as it is typed, and show what the graph has unless that is what was just typed.
 * @param {Frame} frame
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @returns {Control['show']}
 */
function bind(frame, field) {
  let merge = frame.newMerge();
  field.addEventListener('focus', () => void (merge = frame.newMerge()));
  field.addEventListener('input', () => frame.set(fromText(field.value), merge));
  return (value, isDefault) => {
    const text = textOf(value);
    // A caret would jump to the end.
    const isTyped = document.activeElement === field && typeof value === 'string' && fromText(field.value) === value;
    if (!isTyped && field.value !== text) field.value = text;
    field.placeholder = isDefault && text === '' ? frame.input.help ?? '' : '';
  };
}

/** @param {Frame} frame @returns {Control} */
export function textControl(frame) {
  const field = h('input', { type: 'text', class: 'widget-field', autocomplete: 'off', spellcheck: false });
  const completion = addCompletion(frame, field);
  field.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    if ((event.key !== 'Enter' || event.ctrlKey || event.metaKey) && event.key !== 'Escape') return;
    event.stopPropagation();
    frame.leave();
  });
  return { element: h('span', { class: 'widget-control' }, field), field, show: bind(frame, field), destroy: completion.destroy };
}

/** @param {Frame} frame @returns {Control} */
export function promptControl(frame) {
  const field = h('textarea', { class: 'widget-field prompt', spellcheck: false, title: t('widget.prompt.help') });
  const show = bind(frame, field);
  const completion = addCompletion(frame, field);
  field.addEventListener('keydown', (event) => {
    const step = weightStep(event);
    if (step) {
      event.preventDefault();
      weigh(field, step);
    } else if (event.key === 'Escape' && !event.isComposing) {
      event.stopPropagation();
      frame.leave();
    }
  });
  // What scrolls in the text does not zoom the canvas while the text is edited.
  field.addEventListener('wheel', (event) => {
    if (document.activeElement === field && !event.ctrlKey && field.scrollHeight > field.clientHeight) event.stopPropagation();
  }, { passive: true });
  return { element: h('span', { class: 'widget-control' }, field), field, show, destroy: completion.destroy };
}

/** @param {KeyboardEvent} event */
function weightStep(event) {
  if (!(event.ctrlKey || event.metaKey) || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown')) return 0;
  return (event.key === 'ArrowUp' ? 1 : -1) * (event.shiftKey ? 0.1 : 0.05);
}

/**
 * @param {HTMLTextAreaElement} field
 * @param {number} by
 */
function weigh(field, by) {
  const changed = changeWeight(field.value, field.selectionStart, field.selectionEnd, by);
  if (!changed) return;
  replaceAll(field, changed.text);
  field.setSelectionRange(changed.from, changed.to);
}

/**
 * Put another text in place of the field's, so that the browser's own undo can take it back where that is possible.
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 * @param {string} text
 */
export function replaceAll(field, text) {
  const old = field.value;
  let start = 0;
  while (start < old.length && start < text.length && old[start] === text[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < text.length - start && old[old.length - 1 - end] === text[text.length - 1 - end]) end += 1;
  field.setSelectionRange(start, old.length - end);
  const insert = text.slice(start, text.length - end);
  const done = insert === '' ? document.execCommand('delete') : document.execCommand('insertText', false, insert);
  if (done && field.value === text) return;
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
}
