/**
 * Menu, open files, and the button that runs.
 *
 * @module
 */

/** @import {Action} from '../actions.js' */
/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
import { shownKeys } from '../input/keys.js';
import { fractionOf, isOpen } from '../net/tracker.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';

/** The menus, and the groups of actions in each. */
const MENUS = [
  { label: 'menu.file', groups: ['menu.file', 'menu.export'] },
  { label: 'menu.edit', groups: ['menu.edit', 'menu.node', 'menu.colour', 'menu.align'] },
  { label: 'menu.view', groups: ['menu.view', 'menu.side'] },
  { label: 'menu.run', groups: ['menu.run'] },
  { label: 'menu.help', groups: ['menu.help'] },
];

/** @param {App} app @param {HTMLElement} element */
export function mountHeader(app, element) {
  const tabs = h('nav', { class: 'tabs', 'aria-label': t('tabs.label') });
  const run = h('div', { class: 'runbar' });
  element.append(
    h('strong', { class: 'brand' }, 'nodegraph'),
    h('div', { class: 'menus', role: 'menubar', 'aria-label': t('menu.label') }, ...MENUS.map((menu) => menuButton(app, menu))),
    tabs, run,
  );
  keepTabs(app, tabs);
  keepRun(app, run);
}

/**
 * @param {App} app
 * @param {{label: string, groups: string[]}} menu
 */
function menuButton(app, { label, groups }) {
  const id = label.replace('.', '-');
  const list = h('div', { class: 'bar-menu', role: 'menu', id, popover: 'auto', 'aria-label': t(label) });
  const button = h('button', { type: 'button', 'aria-haspopup': 'menu', 'aria-expanded': 'false', role: 'menuitem' }, t(label));
  const open = () => {
    fill(list, ...groups.flatMap((group) => rows(app, group, groups.length > 1)));
    list.showPopover();
    const box = button.getBoundingClientRect();
    list.style.left = `${box.left}px`;
    list.style.top = `${box.bottom}px`;
    items(list).find((item) => !item.disabled)?.focus();
  };
  button.addEventListener('click', () => (list.matches(':popover-open') ? list.hidePopover() : open()));
  button.addEventListener('keydown', (event) => {
    if (event.key === 'ArrowDown') {
      event.preventDefault();
      open();
    }
  });
  list.addEventListener('toggle', () => button.setAttribute('aria-expanded', String(list.matches(':popover-open'))));
  list.addEventListener('keydown', (event) => walk(event, list, button));
  return h('span', {}, button, list);
}

/** @param {HTMLElement} list @returns {HTMLButtonElement[]} */
function items(list) {
  return [...list.querySelectorAll('button')];
}

/**
 * @param {App} app
 * @param {string} group
 * @param {boolean} titled
 */
function rows(app, group, titled) {
  const actions = [...app.actions.all.values()].filter((action) => action.group === group);
  if (!actions.length) return [];
  const head = titled ? [h('div', { class: 'menu-title', role: 'presentation' }, t(group))] : [];
  return [...head, ...actions.map((action) => menuRow(action))];
}

/** @param {Action} action */
function menuRow(action) {
  const checked = action.checked?.();
  return h('button', {
    type: 'button', role: checked === undefined ? 'menuitem' : 'menuitemcheckbox', disabled: action.enabled?.() === false,
    ...(checked === undefined ? {} : { 'aria-checked': String(checked) }),
    onclick: (/** @type {Event} */ event) => {
      /** @type {HTMLElement | null} */ (/** @type {HTMLElement} */ (event.currentTarget).closest('[popover]'))?.hidePopover();
      action.run(event);
    },
  }, h('span', {}, checked ? '✓ ' : '', t(action.label)), h('kbd', {}, action.keys?.[0] ? shownKeys(action.keys[0]) : ''));
}

/**
 * @param {KeyboardEvent} event
 * @param {HTMLElement} list
 * @param {HTMLElement} button
 */
function walk(event, list, button) {
  const all = items(list).filter((item) => !item.disabled);
  const at = all.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
  if (to !== undefined) all.at(to % all.length)?.focus();
  else if (event.key === 'ArrowLeft' || event.key === 'ArrowRight') neighbour(button, event.key === 'ArrowRight' ? 1 : -1);
  else if (event.key === 'Escape' || event.key === 'Tab') {
    list.hidePopover();
    button.focus();
  } else return;
  event.preventDefault();
  event.stopPropagation();
}

/** @param {HTMLElement} button @param {number} by */
function neighbour(button, by) {
  const all = [...(button.closest('.menus')?.querySelectorAll(':scope > span > button') ?? [])];
  const next = all.at((all.indexOf(button) + by) % all.length);
  if (next instanceof HTMLElement) next.click();
}

/** @param {App} app @param {HTMLElement} element */
function keepTabs(app, element) {
  /** @type {(() => void)[]} */
  let subscriptions = [];
  const draw = () => {
    for (const end of subscriptions) end();
    subscriptions = app.sessions.get().flatMap((session) => [session.state, session.saved, session.file].map((signal) => signal.subscribe(() => name(session))));
    fill(element, ...app.sessions.get().map((session) => tab(app, session)), h('button', {
      type: 'button', class: 'tab-new', 'aria-label': t('file.new'), title: t('file.new'), onclick: () => app.actions.run('file.new'),
    }, '+'));
    for (const session of app.sessions.get()) name(session);
  };
  app.sessions.subscribe(draw);
  app.session.subscribe(draw, true);
}

/** @type {WeakMap<Session, HTMLElement>} */
const labels = new WeakMap();

/** @param {App} app @param {Session} session */
function tab(app, session) {
  const label = h('span', { class: 'tab-name' });
  labels.set(session, label);
  const isShown = session === app.session.get();
  return h('span', { class: isShown ? 'tab shown' : 'tab' },
    h('button', {
      type: 'button', class: 'tab-open', 'aria-current': isShown ? 'page' : undefined, onclick: () => app.open(session),
      onauxclick: (/** @type {MouseEvent} */ event) => event.button === 1 && app.actions.run('file.close', new CustomEvent('close', { detail: { session } })),
    }, label),
    h('button', {
      type: 'button', class: 'tab-close', 'aria-label': t('file.close'), title: t('file.close'),
      onclick: () => app.actions.run('file.close', new CustomEvent('close', { detail: { session } })),
    }, '×'));
}

/** @param {Session} session */
function name(session) {
  const label = labels.get(session);
  if (label) label.textContent = `${session.file.get().label || t('file.untitled')}${session.dirty ? ' •' : ''}`;
}

/** @param {App} app @param {HTMLElement} element */
function keepRun(app, element) {
  const button = h('button', { type: 'button', class: 'primary run', id: 'run', onclick: () => app.actions.run('run.queue') }, icon('play'), ' ', t('run.button'));
  const cancel = h('button', { type: 'button', class: 'cancel', id: 'cancel', onclick: () => app.actions.run('run.cancel') }, t('run.stop'));
  const bar = h('progress', { max: 1, 'aria-label': t('run.progress') });
  const count = h('button', { type: 'button', class: 'count', title: t('run.queue.title'), onclick: () => app.actions.run('side.queue') });
  const extra = h('span', { id: 'run-extra' });
  element.append(bar, cancel, count, extra, button);
  const draw = () => {
    const run = app.run.get();
    const { queued, running, paused } = app.queue.get();
    cancel.hidden = bar.hidden = !isOpen(run);
    bar.value = fractionOf(run);
    count.hidden = queued + running === 0 && !paused;
    count.textContent = paused ? t('run.paused', { count: queued }) : t('run.waiting', { count: queued + running });
  };
  app.run.subscribe(draw, true);
  app.queue.subscribe(draw);
}
