/**
 * Lists and menus over the page, at an element that they belong to.
 *
 * @module
 */

import { h } from '../util/h.js';

/** @typedef {{element: HTMLElement, close: (refocus?: boolean) => void}} Popup */

/** @type {Popup | null} */
let open = null;

/**
 * Show something at an element. It closes with Escape and when anything else is pressed, focused or scrolled.
 * @param {HTMLElement} anchor
 * @param {HTMLElement} content
 * @param {{x?: number, y?: number, focus?: boolean, onClose?: () => void, label?: string}} [options] x, y: a place in the
 *   window instead of below the anchor; focus: false leaves the focus where it is
 * @returns {Popup}
 */
export function openPopup(anchor, content, { x, y, focus = true, onClose } = {}) {
  open?.close(false);
  const before = document.activeElement;
  const element = h('div', { class: 'popup', popover: 'manual' }, content);
  // A modal dialog makes all that is outside of it dead, so what belongs to its widgets goes inside.
  (anchor.closest('dialog') ?? document.getElementById('overlays') ?? document.body).append(element);
  element.showPopover();
  place(element, x === undefined || y === undefined ? anchor.getBoundingClientRect() : new DOMRect(x, y, 0, 0));
  const away = (/** @type {Event} */ event) => {
    const target = /** @type {Node} */ (event.target);
    if (!element.contains(target) && !(anchor.contains(target) && event.type !== 'wheel')) popup.close(false);
  };
  const events = /** @type {const} */ (['pointerdown', 'focusin', 'wheel']);
  const popup = {
    element,
    /** @param {boolean} [refocus] */
    close(refocus = true) {
      if (open !== popup) return;
      open = null;
      for (const name of events) document.removeEventListener(name, away, true);
      window.removeEventListener('blur', shut);
      element.remove();
      if (refocus && focus && before instanceof HTMLElement && before.isConnected) before.focus();
      onClose?.();
    },
  };
  const shut = () => popup.close(false);
  for (const name of events) document.addEventListener(name, away, true);
  window.addEventListener('blur', shut);
  keepInside(element, popup);
  open = popup;
  if (focus) /** @type {HTMLElement | null} */ (element.querySelector('input, textarea, button'))?.focus();
  return popup;
}

/**
 * What happens in a popup is nothing to the canvas, and Escape closes it.
 * @param {HTMLElement} element
 * @param {Popup} popup
 */
function keepInside(element, popup) {
  for (const name of ['pointerdown', 'dblclick', 'wheel', 'contextmenu', 'keyup', 'paste', 'copy', 'cut']) {
    element.addEventListener(name, (event) => event.stopPropagation());
  }
  element.addEventListener('keydown', (event) => {
    event.stopPropagation();
    if (event.key === 'Escape') {
      event.preventDefault();
      popup.close();
    }
  });
}

/**
 * Below a box, or above it where there is more room, always inside the window.
 * @param {HTMLElement} element
 * @param {DOMRect} box
 */
function place(element, box) {
  const margin = 6;
  const below = window.innerHeight - box.bottom - margin;
  const above = box.top - margin;
  const up = below < Math.min(element.offsetHeight, 260) && above > below;
  const room = Math.max(120, up ? above : below);
  element.style.maxHeight = `${Math.min(room, 420)}px`;
  element.style.minWidth = `${Math.min(Math.max(box.width, 120), window.innerWidth - 2 * margin)}px`;
  const left = Math.max(margin, Math.min(box.left, window.innerWidth - element.offsetWidth - margin));
  const top = up ? Math.max(margin, box.top - element.offsetHeight - 2) : box.bottom + 2;
  element.style.left = `${left}px`;
  element.style.top = `${Math.max(margin, Math.min(top, window.innerHeight - element.offsetHeight - margin))}px`;
}

/**
 * An entry of a menu; null draws a line.
 * @typedef {{label: string, disabled?: boolean, run: () => void}} MenuItem
 */

/**
 * Open a menu: arrow keys, Home, End, first letters, Enter.
 * @param {HTMLElement} anchor
 * @param {readonly (MenuItem | null)[]} items
 * @param {{x?: number, y?: number, label?: string}} [options]
 */
export function openMenu(anchor, items, options = {}) {
  /** @type {Popup} */
  let popup;
  const buttons = items.map((item) => {
    if (!item) return h('hr');
    const run = () => {
      popup.close();
      item.run();
    };
    return h('button', { type: 'button', role: 'menuitem', class: 'menu-item', disabled: item.disabled ?? false, tabIndex: -1, onclick: run }, item.label);
  });
  const menu = h('div', { role: 'menu', class: 'menu', ...(options.label ? { 'aria-label': options.label } : {}) }, ...buttons);
  menu.addEventListener('keydown', (event) => moveInMenu(menu, event));
  popup = openPopup(anchor, menu, options);
  return popup;
}

/**
 * @param {HTMLElement} menu
 * @param {KeyboardEvent} event
 */
function moveInMenu(menu, event) {
  const items = /** @type {HTMLElement[]} */ ([...menu.querySelectorAll('button:not(:disabled)')]);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const moves = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 };
  let to = moves[event.key];
  if (to === undefined && event.key.length === 1 && event.key !== ' ') {
    const letter = event.key.toLowerCase();
    const found = [...items.slice(at + 1), ...items.slice(0, at + 1)].find((item) => item.textContent?.trim().toLowerCase().startsWith(letter));
    if (found) to = items.indexOf(found);
  }
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length]?.focus();
}
