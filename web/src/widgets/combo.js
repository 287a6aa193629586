/**
 * A choice of a list, which typing filters.
 *
 * @module
 */

/** @import {InputSpec, Raw, Scalar} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
import { escape, escaped, plain, same } from '../model/values.js';
import { h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { openPopup } from '../util/popup.js';

/** More than so many are shown only after some letters were typed. */
const MOST = 300;

/** @param {Frame} frame @returns {Control} */
export function comboControl(frame) {
  const text = h('span', { class: 'combo-text' });
  const field = h('button', {
    type: 'button', class: 'widget-field combo', role: 'combobox', 'aria-haspopup': 'listbox', 'aria-expanded': 'false',
    onclick: () => openChoices(frame, field),
  }, text, icon('chevron-down'));
  field.addEventListener('keydown', (event) => {
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step && event.altKey) openChoices(frame, field);
    else if (step && !event.ctrlKey && !event.metaKey) stepChoice(frame, step);
    else if (event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.metaKey && !event.altKey) openChoices(frame, field, event.key);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return {
    element: h('span', { class: 'widget-control' }, field),
    field,
    show(value) {
      const isBrought = frame.input.upload && Boolean(frame.context.session.file.get().example);
      const known = isBrought || isKnown(frame.input, value);
      const shown = value === null ? t('widget.combo.none') : textOf(value);
      text.textContent = shown;
      text.title = known ? shown : t('widget.combo.unknown', { value: shown });
      field.classList.toggle('unknown', !known && value !== null);
    },
  };
}

/** @param {Raw} value */
function textOf(value) {
  return String(plain(value));
}

/**
 * The choices that an input has, as raw values.
 * @param {InputSpec} input
 * @returns {Scalar[]}
 */
export function choicesOf(input) {
  return (input.choices ?? []).map(escaped);
}

/**
 * @param {InputSpec} input
 * @param {Raw} value
 */
function isKnown(input, value) {
  return (input.choices?.length ?? 0) === 0 ? value === '' || Boolean(input.custom) : choicesOf(input).some((choice) => same(choice, value));
}

/**
 * @param {Frame} frame
 * @param {number} step
 */
function stepChoice(frame, step) {
  const choices = choicesOf(frame.input);
  const at = choices.findIndex((choice) => same(choice, frame.value));
  const next = choices[at < 0 ? 0 : Math.min(choices.length - 1, Math.max(0, at + step))];
  if (next !== undefined) frame.set(next);
}

/**
 * @param {Frame} frame
 * @param {HTMLElement} field
 * @param {string} [typed]
 */
export function openChoices(frame, field, typed = '') {
  const choices = choicesOf(frame.input);
  const state = { found: choices, at: Math.max(0, choices.findIndex((choice) => same(choice, frame.value))) };
  const list = h('div', { role: 'listbox', class: 'list', id: `${frame.id}-list`, 'aria-label': frame.context.input.name });
  const filter = h('input', {
    type: 'text', class: 'popup-filter', role: 'combobox', value: typed, placeholder: t('widget.combo.filter'), autocomplete: 'off',
    spellcheck: false, 'aria-label': t('widget.combo.filter'), 'aria-expanded': 'true', 'aria-controls': list.id, 'aria-autocomplete': 'list',
  });
  const take = (/** @type {number} */ i) => {
    const value = state.found[i];
    if (value === undefined) return;
    popup.close();
    frame.set(value);
  };
  const draw = () => drawChoices(list, filter, frame, state, take);
  filter.addEventListener('input', () => {
    state.found = withTyped(frame.input, filterChoices(choices, filter.value), filter.value);
    state.at = 0;
    draw();
  });
  filter.addEventListener('keydown', (event) => {
    if (event.isComposing) return;
    const page = 10;
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: state.at + 1, ArrowUp: state.at - 1, PageDown: state.at + page, PageUp: state.at - page };
    const to = moves[event.key];
    if (to !== undefined) {
      state.at = Math.min(Math.min(state.found.length, MOST) - 1, Math.max(0, to));
      draw();
    } else if (event.key === 'Enter') take(state.at);
    else if (event.key === 'Tab') popup.close();
    else return;
    event.preventDefault();
  });
  const popup = openPopup(field, h('div', { class: 'choices' }, filter, list), {
    onClose() {
      field.setAttribute('aria-expanded', 'false');
      field.removeAttribute('aria-controls');
    },
  });
  field.setAttribute('aria-expanded', 'true');
  field.setAttribute('aria-controls', list.id);
  if (typed) filter.dispatchEvent(new Event('input'));
  else draw();
}

/**
 * The choices that were found, and what was typed where the server knows more than its list: a picture beside the file.
 * @param {InputSpec} input
 * @param {Scalar[]} found
 * @param {string} typed
 * @returns {Scalar[]}
 */
function withTyped(input, found, typed) {
  const value = escape(typed.trim());
  return (input.upload || input.custom) && value !== '' && !found.includes(value) ? [...found, value] : found;
}

/**
 * Those with all the words that were typed, in any order; those that begin with the first come first.
 * @param {readonly Scalar[]} choices
 * @param {string} typed
 */
export function filterChoices(choices, typed) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const found = choices.filter((choice) => words.every((word) => textOf(choice).toLowerCase().includes(word)));
  const first = words[0] ?? '';
  const begins = (/** @type {Scalar} */ choice) => textOf(choice).toLowerCase().startsWith(first);
  return [...found.filter(begins), ...found.filter((choice) => !begins(choice))];
}

/**
 * @param {HTMLElement} list
 * @param {HTMLElement} filter
 * @param {Frame} frame
 * @param {{found: readonly Scalar[], at: number}} state
 * @param {(i: number) => void} take
 */
function drawChoices(list, filter, frame, { found, at }, take) {
  const items = found.slice(0, MOST).map((choice, i) => h('div', {
    role: 'option', class: 'list-item', id: `${frame.id}-choice-${i}`, 'aria-selected': String(i === at),
    ...(same(choice, frame.value) ? { 'aria-current': 'true' } : {}), onclick: () => take(i),
  }, isKnown(frame.input, choice) || same(choice, frame.value) ? textOf(choice) : t('widget.combo.use', { value: textOf(choice) })));
  const rest = found.length - items.length;
  const empty = frame.input.choices?.length ? t('widget.combo.nothing') : t(frame.input.folder ? 'widget.combo.noFiles' : 'widget.combo.noChoices', { folder: frame.input.folder ?? '' });
  const more = rest > 0 ? t('widget.combo.more', { count: rest }) : found.length === 0 ? empty : '';
  list.replaceChildren(...items, ...(more ? [h('div', { class: 'list-more' }, more)] : []));
  if (items[at]) filter.setAttribute('aria-activedescendant', `${frame.id}-choice-${at}`);
  else filter.removeAttribute('aria-activedescendant');
  items[at]?.scrollIntoView({ block: 'nearest' });
}
