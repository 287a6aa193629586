/**
 * What is said to the reader: messages at the page's edge, a banner while the server is away, and a line that only screen
 * readers hear.
 *
 * @module
 */

/** @import {App} from '../app.js' */
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';

/** How long a message stays that nobody needs to act upon, in milliseconds. */
const STAY = 7000;

/** @typedef {ReturnType<App['messages']['get']>[number]} Message */

/** @param {App} app @param {HTMLElement} element */
export function mountMessages(app, element) {
  const line = h('div', { class: 'sr-only', role: 'status', 'aria-live': 'polite' });
  const banner = h('div', { class: 'banner', role: 'status' });
  const list = h('div', { class: 'toasts', role: 'region', 'aria-label': t('panel.messages') });
  element.append(line, banner, list);
  // Over open dialogs too, and over each that was opened before the newest message.
  element.popover = 'manual';
  const raise = () => {
    element.hidePopover();
    element.showPopover();
  };
  element.showPopover();
  app.online.subscribe(raise);
  app.announced.subscribe((text) => void (line.textContent = text));
  showOffline(app, banner);
  /** @type {Map<number, HTMLElement>} */
  const shown = new Map();
  app.messages.subscribe((messages) => {
    const ids = new Set(messages.map(({ id }) => id));
    for (const [id, toast] of shown) {
      if (ids.has(id)) continue;
      toast.remove();
      shown.delete(id);
    }
    for (const message of messages) {
      if (shown.has(message.id)) continue;
      const toast = makeToast(app, message);
      shown.set(message.id, toast);
      list.append(toast);
      raise();
    }
  }, true);
}

/** @param {App} app @param {Message} message */
function makeToast(app, { id, tone, text, hint, action }) {
  const close = () => app.messages.update((all) => all.filter((message) => message.id !== id));
  const urgent = tone === 'error';
  const toast = h('div', { class: `toast ${tone}`, role: urgent ? 'alert' : 'status' },
    icon(urgent || tone === 'warning' ? 'warning' : tone === 'success' ? 'check' : 'info'),
    h('div', { class: 'toast-text' },
      h('span', { class: 'sr-only' }, t(`panel.tone.${tone}`)), h('p', {}, text), hint ? h('p', { class: 'hint' }, hint) : null,
      action ? h('button', { type: 'button', class: 'toast-action', onclick: () => { close(); action.run(); } }, action.label) : null),
    iconButton('close', t('panel.dismiss'), close));
  toast.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') close();
  });
  if (tone === 'info' || tone === 'success') leaveLater(toast, close);
  return toast;
}

/** Let a message go by itself, but not while somebody reads it. @param {HTMLElement} toast @param {() => void} close */
function leaveLater(toast, close) {
  let timer = setTimeout(close, STAY);
  const stop = () => clearTimeout(timer);
  const go = () => {
    clearTimeout(timer);
    timer = setTimeout(close, STAY);
  };
  toast.addEventListener('pointerenter', stop);
  toast.addEventListener('focusin', stop);
  toast.addEventListener('pointerleave', go);
  toast.addEventListener('focusout', go);
}

/** @param {App} app @param {HTMLElement} banner */
function showOffline(app, banner) {
  let wasAway = false;
  app.online.subscribe((online) => {
    if (online) {
      fill(banner);
      if (wasAway) app.say('success', t('net.back'));
      wasAway = false;
      return;
    }
    wasAway = true;
    const time = new Date().toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
    fill(banner, icon('warning'), h('div', {}, h('strong', {}, t('net.offline')), ' ', t('net.offline.since', { time }), h('br'), t('net.offline.hint')),
      h('button', { type: 'button', onclick: () => app.actions.run('net.connect') }, t('net.connect')));
  });
}
