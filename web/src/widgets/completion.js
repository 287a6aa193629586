/**
 * Names that can be completed in a text: embeddings, and the file's parameters.
 *
 * @module
 */

/** @import {Frame} from './frame.js' */
/** @import {Popup} from '../util/popup.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { openPopup } from '../util/popup.js';
import { replaceAll } from './text.js';
import { completionAt } from './texts.js';

const MOST = 50;

/**
 * Offer names while they are typed in a field.
 * @param {Frame} frame
 * @param {HTMLInputElement | HTMLTextAreaElement} field
 */
export function addCompletion(frame, field) {
  /** @type {Popup | null} */
  let popup = null;
  /** @type {string[]} */
  let names = [];
  let chosen = 0;
  const close = () => popup?.close(false);
  const refresh = () => {
    const caret = field.selectionStart ?? 0;
    const at = caret === field.selectionEnd ? completionAt(field.value, caret) : null;
    names = at ? matching(frame, at) : [];
    if (!at || names.length === 0) return close();
    chosen = 0;
    show();
  };
  const show = () => {
    const list = h('div', { role: 'listbox', class: 'list', id: `${frame.id}-names`, 'aria-label': t('widget.prompt.names') });
    list.append(...names.map((name, i) => h('div', {
      role: 'option', class: 'list-item', id: `${frame.id}-name-${i}`, 'aria-selected': String(i === chosen),
      onpointerdown: (/** @type {Event} */ event) => {
        event.preventDefault();
        take(i);
      },
    }, name)));
    if (popup) popup.element.replaceChildren(list);
    else popup = openPopup(field, list, { focus: false, onClose: closed });
    field.setAttribute('aria-controls', list.id);
    field.setAttribute('aria-activedescendant', `${frame.id}-name-${chosen}`);
    list.children[chosen]?.scrollIntoView({ block: 'nearest' });
  };
  const closed = () => {
    popup = null;
    field.removeAttribute('aria-activedescendant');
    field.removeAttribute('aria-controls');
  };
  const take = (/** @type {number} */ i) => {
    const start = field.selectionStart ?? 0;
    const at = completionAt(field.value, start);
    const name = names[i];
    close();
    if (!at || name === undefined) return;
    const rest = field.value.slice(start);
    const put = at.kind === 'param' && !rest.startsWith('}') ? `${name}}` : name;
    const caret = at.from + put.length + (at.kind === 'param' && rest.startsWith('}') ? 1 : 0);
    replaceAll(field, field.value.slice(0, at.from) + put + rest);
    field.setSelectionRange(caret, caret);
    close();
  };
  field.addEventListener('input', refresh);
  field.addEventListener('blur', close);
  /** @type {HTMLElement} */ (field).addEventListener('keydown', (event) => {
    if (!popup || event.isComposing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      chosen = (chosen + (event.key === 'ArrowDown' ? 1 : -1) + names.length) % names.length;
      show();
    } else if (event.key === 'Enter' || event.key === 'Tab') take(chosen);
    else if (event.key === 'Escape') close();
    else return;
    event.preventDefault();
    event.stopImmediatePropagation();
  });
  return { destroy: close };
}

/**
 * @param {Frame} frame
 * @param {NonNullable<ReturnType<typeof completionAt>>} at
 */
function matching(frame, { kind, typed }) {
  const graph = frame.context.session.graph.get();
  const all = kind === 'param' ? [...graph.params.keys()] : (frame.app.models.get().get('embeddings') ?? []).map(stem);
  const wanted = typed.toLowerCase();
  const begins = all.filter((name) => name.toLowerCase().startsWith(wanted));
  const contains = all.filter((name) => !begins.includes(name) && name.toLowerCase().includes(wanted));
  const found = [...begins, ...contains];
  // Nothing to complete where the name stands already.
  return found.length === 1 && found[0] === typed && kind === 'embedding' ? [] : found.slice(0, MOST);
}

/** Prompts name embeddings without the ending of their file. @param {string} file */
function stem(file) {
  return file.replace(/\.(safetensors|pt|bin)$/i, '');
}
