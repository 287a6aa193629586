/**
 * The menus of a widget and of the parameter that it shows.
 *
 * @module
 */

/** @import {Scalar} from '../model/types.js' */
/** @import {Frame} from './frame.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { detach, makeParam, nameFault, renameParam, toParamValue } from '../model/params.js';
import { openMenu, openPopup } from '../util/popup.js';

/**
 * @param {Frame} frame
 * @param {{x?: number, y?: number}} at
 */
export function openWidgetMenu(frame, at) {
  const { context, input, param } = frame;
  const { session, id } = context;
  const scalar = frame.linked || param ? undefined : toParamValue(frame.value);
  const canBeParam = scalar !== undefined && session.graph.get().nodes.has(id);
  const items = [
    {
      label: t('widget.menu.reset'), disabled: frame.raw === undefined || (input.required && input.default === undefined),
      run: () => {
        frame.say('');
        context.change(undefined);
      },
    },
    {
      label: t('widget.menu.param'), disabled: !canBeParam,
      run: () => void session.edit('widget.edit.makeParam', (graph) => makeParam(graph, id, input, /** @type {Scalar} */ (scalar))),
    },
    ...(param ? [null, ...paramItems(frame, frame.chip)] : []),
  ];
  openMenu(frame.control?.field ?? frame.element, items, { ...at, label: input.name });
}

/**
 * @param {Frame} frame
 * @param {HTMLElement} anchor
 */
export function paramMenu(frame, anchor) {
  openMenu(anchor, paramItems(frame, anchor), { label: anchor.textContent ?? '' });
}

/**
 * @param {Frame} frame
 * @param {HTMLElement} anchor
 */
function paramItems(frame, anchor) {
  const { session, id, input } = frame.context;
  return [
    {
      label: t('widget.param.detach'), disabled: frame.param?.value === undefined,
      run: () => void session.edit('widget.edit.detach', (graph) => detach(graph, id, input.name)),
    },
    { label: t('widget.param.rename'), run: () => askName(frame, anchor) },
  ];
}

/**
 * Ask for another name of the parameter, at its chip.
 * @param {Frame} frame
 * @param {HTMLElement} anchor
 */
function askName(frame, anchor) {
  const { session } = frame.context;
  const name = frame.param?.name ?? '';
  const fault = h('div', { class: 'popup-fault', role: 'alert' });
  const field = h('input', { type: 'text', value: name, 'aria-label': t('widget.param.name'), spellcheck: false });
  const form = h('form', {
    class: 'popup-form',
    onsubmit: (/** @type {Event} */ event) => {
      event.preventDefault();
      const to = field.value.trim();
      const problem = nameFault(session.graph.get(), name, to);
      fault.textContent = problem ? t(problem, { name: to }) : '';
      if (problem) return;
      popup.close();
      session.edit('widget.edit.renameParam', (graph) => renameParam(graph, name, to));
    },
  }, field, h('button', { type: 'submit', class: 'primary' }, t('widget.param.rename.do')), fault);
  const popup = openPopup(anchor, form);
  field.select();
}
