/**
 * Questions over the page, as native dialogs.
 *
 * @module
 */

import { h } from './h.js';
import { t } from './i18n.js';

/** @typedef {{id: string, label: string, primary?: boolean, danger?: boolean}} Choice */

/**
 * Show a dialog until it is answered; Escape answers null.
 * @param {{title: string, body?: (Node | string)[], choices: Choice[], className?: string}} what
 * @returns {Promise<string | null>} the id of the choice
 */
export function choose({ title, body = [], choices, className = '' }) {
  return new Promise((resolve) => {
    const heading = h('h2', { id: `dialog-${Math.random().toString(36).slice(2)}` }, title);
    const buttons = choices.map((choice) => h('button', {
      type: 'submit', value: choice.id, class: choice.primary ? 'primary' : choice.danger ? 'danger' : '',
    }, choice.label));
    const dialog = h('dialog', { class: `dialog ${className}`, 'aria-labelledby': heading.id },
      h('form', { method: 'dialog' }, heading, h('div', { class: 'dialog-body' }, ...body), h('div', { class: 'dialog-buttons' }, ...buttons)));
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
    document.body.append(dialog);
    const content = /** @type {HTMLElement} */ (dialog.querySelector('.dialog-body'));
    // What only is read has to be scrolled by keyboard too.
    if (!content.querySelector('button, input, select, textarea, a')) content.tabIndex = 0;
    dialog.showModal();
    /** @type {HTMLElement | undefined} */ (dialog.querySelector('[autofocus]') ?? buttons.find((_, i) => choices[i]?.primary))?.focus();
  });
}

/**
 * Ask for a text.
 * @param {{title: string, label: string, value?: string, ok?: string, hint?: string, check?: (text: string) => string | null}} what
 *   check: what is wrong with a text, in words
 * @returns {Promise<string | null>}
 */
export async function askText({ title, label, value = '', ok, hint, check = () => null }) {
  const input = h('input', { type: 'text', value, autofocus: true, 'aria-label': label, spellcheck: false });
  const fault = h('p', { class: 'fault', role: 'alert' });
  input.addEventListener('input', () => {
    const wrong = check(input.value);
    input.setCustomValidity(wrong ?? '');
    fault.textContent = wrong ?? '';
  });
  queueMicrotask(() => input.select());
  const body = [h('label', {}, label, input), fault, ...(hint ? [h('p', { class: 'hint' }, hint)] : [])];
  // The primary button comes first, since Enter presses the first one.
  const choice = await choose({ title, body, choices: [{ id: 'ok', label: ok ?? t('dialog.ok'), primary: true }, { id: '', label: t('dialog.cancel') }] });
  return choice === 'ok' ? input.value : null;
}

/**
 * Ask whether to go on.
 * @param {{title: string, text: string, ok: string, danger?: boolean}} what
 */
export async function confirm({ title, text, ok, danger = false }) {
  const choice = await choose({ title, body: [h('p', {}, text)], choices: [{ id: 'ok', label: ok, primary: !danger, danger }, { id: '', label: t('dialog.cancel') }] });
  return choice === 'ok';
}
