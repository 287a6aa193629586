/**
 * A menu at a place of the window.
 *
 * @module
 */

import { h, icon } from '../util/h.js';

/**
 * @typedef {{label: string, run: () => unknown, keys?: string, disabled?: boolean, checked?: boolean, colour?: string}} Item
 */

/**
 * Show a menu; it goes when something is chosen, by Escape and by a press elsewhere. The focus comes back to where it was.
 * @param {HTMLElement} parent
 * @param {{clientX: number, clientY: number}} at
 * @param {string} label
 * @param {readonly (Item | null)[]} items null is a line between
 * @returns {HTMLElement}
 */
export function showMenu(parent, at, label, items) {
  const before = document.activeElement;
  const menu = h('div', { class: 'canvas-menu', role: 'menu', 'aria-label': label, tabIndex: -1 });
  const close = (/** @type {boolean} */ back) => {
    removeEventListener('pointerdown', outside, true);
    removeEventListener('blur', gone);
    menu.remove();
    if (back && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
  };
  const outside = (/** @type {Event} */ event) => {
    if (!menu.contains(/** @type {Node} */ (event.target))) close(false);
  };
  const gone = () => close(false);
  for (const item of tidy(items)) menu.append(item ? button(item, () => close(true)) : h('hr', { role: 'separator' }));
  menu.addEventListener('keydown', (event) => onKey(menu, event, () => close(true)));
  menu.addEventListener('contextmenu', (event) => event.preventDefault());
  parent.append(menu);
  lie(menu, at);
  addEventListener('pointerdown', outside, true);
  addEventListener('blur', gone);
  step(menu, 1);
  return menu;
}

/**
 * No lines at the ends, and no two together.
 * @param {readonly (Item | null)[]} items
 */
function tidy(items) {
  return items.filter((item, i) => item !== null || (items.slice(0, i).some(Boolean) && items[i - 1] !== null && items.slice(i + 1).some(Boolean)));
}

/**
 * @param {Item} item
 * @param {() => void} close
 */
function button(item, close) {
  const checks = item.checked !== undefined;
  const element = h('button', {
    class: 'canvas-menu-item', type: 'button', role: checks ? 'menuitemcheckbox' : 'menuitem', tabIndex: -1, disabled: item.disabled ?? false,
    'aria-checked': checks ? item.checked : undefined,
    onclick: () => {
      close();
      item.run();
    },
  });
  const mark = h('span', { class: 'canvas-menu-mark' }, item.checked ? icon('check') : null);
  if (item.colour) mark.style.background = item.colour;
  element.append(mark, h('span', { class: 'canvas-menu-label', textContent: item.label }));
  if (item.keys) element.append(h('kbd', { textContent: item.keys, 'aria-hidden': 'true' }));
  return element;
}

/**
 * @param {HTMLElement} menu
 * @param {{clientX: number, clientY: number}} at
 */
function lie(menu, { clientX, clientY }) {
  const { width, height } = menu.getBoundingClientRect();
  menu.style.left = `${Math.max(4, Math.min(clientX, innerWidth - width - 4))}px`;
  menu.style.top = `${Math.max(4, Math.min(clientY, innerHeight - height - 4))}px`;
}

/**
 * @param {HTMLElement} menu
 * @param {KeyboardEvent} event
 * @param {() => void} close
 */
function onKey(menu, event, close) {
  event.stopPropagation();
  const { key } = event;
  if (key === 'Escape' || key === 'Tab') close();
  else if (key === 'ArrowDown') step(menu, 1);
  else if (key === 'ArrowUp') step(menu, -1);
  else if (key === 'Home' || key === 'End') step(menu, key === 'Home' ? 1 : -1, true);
  else if (key.length === 1 && key !== ' ' && !event.ctrlKey && !event.metaKey && !event.altKey) letter(menu, key);
  else return;
  event.preventDefault();
}

/** @param {HTMLElement} menu @returns {HTMLButtonElement[]} */
function buttons(menu) {
  return [...menu.querySelectorAll('button')].filter(({ disabled }) => !disabled);
}

/**
 * @param {HTMLElement} menu
 * @param {1 | -1} way
 * @param {boolean} [anew] from the end
 */
function step(menu, way, anew = false) {
  const all = buttons(menu);
  const at = anew ? -1 : all.indexOf(/** @type {any} */ (document.activeElement));
  const next = at < 0 ? (way > 0 ? 0 : all.length - 1) : (at + way + all.length) % all.length;
  (all[next] ?? menu).focus({ preventScroll: false });
}

/**
 * @param {HTMLElement} menu
 * @param {string} key
 */
function letter(menu, key) {
  const all = buttons(menu);
  const at = all.indexOf(/** @type {any} */ (document.activeElement));
  const around = [...all.slice(at + 1), ...all.slice(0, at + 1)];
  around.find((each) => each.textContent?.toLowerCase().startsWith(key.toLowerCase()))?.focus();
}
