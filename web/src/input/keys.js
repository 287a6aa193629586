/**
 * Keys to actions, and the list of them.
 *
 * Keys are known by where they lie (`KeyboardEvent.code`), so that they work on any keyboard; letters also by what they
 * write, so that they follow layouts such as Dvorak.
 *
 * @module
 */

/** @import {Action} from '../actions.js' */
/** @import {App} from '../app.js' */
import { choose } from '../util/dialog.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';

const MAC = typeof navigator !== 'undefined' && /Mac|iP(hone|ad)/.test(navigator.platform);

/** @param {App} app */
export function mountKeys(app) {
  app.actions.add({ id: 'app.keys', label: 'app.keys', group: 'menu.help', keys: ['Ctrl+Shift+KeyK', 'Shift+Slash'], run: () => void showKeys(app) });
  window.addEventListener('keydown', (event) => {
    const action = actionFor(app.actions.all.values(), event);
    if (!action || event.defaultPrevented || event.isComposing) return;
    if (isBusy(event.target) && !(action.anywhere && !inDialog(event.target))) return;
    if (action.enabled?.() === false) return;
    event.preventDefault();
    action.run(event);
  });
}

/**
 * Whether keys belong to what has the focus: a field that is written in, a list, a dialog.
 * @param {EventTarget | null} target
 */
function isBusy(target) {
  if (!(target instanceof Element)) return false;
  return inDialog(target) || target.closest('input:not([type=checkbox], [type=radio], [type=range]), textarea, select, [contenteditable], [role=menu], [role=listbox], .cm-editor') !== null;
}

/**
 * Whether something lies in a dialog. One that has just been closed holds the focus until the page is drawn again.
 * @param {EventTarget | null} target
 */
function inDialog(target) {
  return target instanceof Element && target.closest('dialog[open]') !== null;
}

/**
 * The action that a key press means.
 * @param {Iterable<Action>} actions
 * @param {Pick<KeyboardEvent, 'code' | 'key' | 'ctrlKey' | 'metaKey' | 'shiftKey' | 'altKey'>} event
 * @returns {Action | null}
 */
export function actionFor(actions, event) {
  const modifiers = [
    (MAC ? event.metaKey : event.ctrlKey) ? 'Ctrl' : '', event.shiftKey ? 'Shift' : '', event.altKey ? 'Alt' : '',
  ].filter(Boolean);
  // Where the question mark lies, and with what it is typed, differs from keyboard to keyboard.
  const names = event.key === '?' ? ['Shift+Slash'] : codes(event).map((code) => [...modifiers, code].join('+'));
  const all = [...actions];
  for (const name of names) {
    const found = all.find((action) => action.keys?.some((keys) => ordered(keys) === name));
    if (found) return found;
  }
  return null;
}

/**
 * What a pressed key may be called: a letter by what it writes first, then any key by its place.
 * @param {Pick<KeyboardEvent, 'code' | 'key'>} event
 */
function codes(event) {
  const letter = /^[a-z]$/i.test(event.key) ? [`Key${event.key.toUpperCase()}`] : [];
  return [...letter, event.code, ...(event.code === 'NumpadEnter' ? ['Enter'] : [])];
}

/** Modifiers in the order that `actionFor` names them in. @param {string} keys */
function ordered(keys) {
  const parts = keys.split('+');
  const code = parts.pop();
  return [...['Ctrl', 'Shift', 'Alt'].filter((name) => parts.includes(name)), code].join('+');
}

/**
 * Keys as they stand in menus: `Ctrl+Shift+Z`, or `⌘⇧Z` on a Mac.
 * @param {string} keys
 */
export function shownKeys(keys) {
  const parts = ordered(keys).split('+');
  const code = /** @type {string} */ (parts.pop());
  const names = /** @type {Record<string, string>} */ ({ Period: '.', Comma: ',', Equal: '=', Minus: '-', Slash: '/', Backquote: '`', Delete: 'Del', Escape: 'Esc', Enter: '⏎', Backspace: '⌫' });
  const key = names[code] ?? code.replace(/^(Key|Digit)/, '');
  if (keys === 'Shift+Slash') return '?';
  const marks = /** @type {Record<string, string>} */ ({ Ctrl: '⌘', Shift: '⇧', Alt: '⌥' });
  return MAC ? parts.map((part) => marks[part]).join('') + key : [...parts, key].join('+');
}

/** The list of all keys, and of what the mouse does. @param {App} app */
async function showKeys(app) {
  /** @type {Map<string, Action[]>} */
  const groups = new Map();
  for (const action of app.actions.all.values()) {
    if (action.keys?.length) groups.set(action.group, [...(groups.get(action.group) ?? []), action]);
  }
  const tables = [...groups].map(([group, actions]) => h('section', {}, h('h3', {}, t(group)), h('table', {}, h('tbody', {},
    ...actions.map(({ label, keys = [] }) => row(t(label), keys.map(shownKeys)))))));
  const mouse = ['pan', 'zoom', 'box', 'add', 'snap', 'search', 'drop', 'reroute', 'weight', 'file'];
  tables.push(h('section', {}, h('h3', {}, t('keys.mouse')), h('table', {}, h('tbody', {}, ...mouse.map((what) => row(t(`keys.${what}`), [t(`keys.${what}.how`)]))))));
  await choose({ title: t('app.keys'), body: [h('div', { class: 'key-list' }, ...tables)], choices: [{ id: '', label: t('dialog.close'), primary: true }], className: 'wide' });
}

/** @param {string} label @param {string[]} keys */
function row(label, keys) {
  return h('tr', {}, h('td', {}, label), h('td', {}, ...keys.map((key) => h('kbd', {}, key))));
}
