/**
 * Lists and menus over the page, at an element that they belong to.
 *
 * @module
 */

import { h, icon } from './h.js';

const MARGIN = 6;

/** @typedef {{element: HTMLElement, close: (refocus?: boolean) => void}} Popup */

/** @type {Popup | null} */
let open = null;

/** Close the popup that is open. */
export function closePopup() {
  open?.close(false);
}

/**
 * Show something at an element. It closes with Escape and when anything else is pressed, focused or scrolled.
 * @param {HTMLElement} anchor
 * @param {HTMLElement} content
 * @param {{x?: number, y?: number, focus?: boolean, onClose?: () => void, isMenu?: boolean}} [options] x, y: a place in the
 *   window instead of below the anchor; focus: false leaves the focus where it is; isMenu: what is at a place is shown
 *   whole, and a finger that moves the focus as it lifts does not close it
 * @returns {Popup}
 */
export function openPopup(anchor, content, { x, y, focus = true, onClose, isMenu = false } = {}) {
  closePopup();
  const before = document.activeElement;
  const element = h('div', { class: 'popup', popover: 'manual' }, content);
  // A modal dialog makes all that is outside of it dead, so what belongs to its widgets goes inside.
  (anchor.closest('dialog') ?? document.getElementById('overlays') ?? document.body).append(element);
  element.showPopover();
  const isPlaced = x !== undefined && y !== undefined;
  if (isPlaced && isMenu) placeAt(element, x, y);
  else placeBeside(element, isPlaced ? new DOMRect(x, y, 0, 0) : anchor.getBoundingClientRect());
  const away = (/** @type {Event} */ event) => {
    const target = /** @type {Node} */ (event.target);
    if (!element.contains(target) && (isPlaced || event.type === 'wheel' || !anchor.contains(target))) popup.close(false);
  };
  const events = ['pointerdown', 'wheel', ...(isMenu ? [] : ['focusin'])];
  const popup = {
    element,
    /** @param {boolean} [refocus] */
    close(refocus = true) {
      if (open !== popup) return;
      open = null;
      for (const name of events) document.removeEventListener(name, away, true);
      window.removeEventListener('blur', shut);
      element.remove();
      if (refocus && focus && before instanceof HTMLElement && before.isConnected) before.focus({ preventScroll: true });
      onClose?.();
    },
  };
  const shut = () => popup.close(false);
  for (const name of events) document.addEventListener(name, away, true);
  window.addEventListener('blur', shut);
  keepInside(element, popup);
  open = popup;
  if (focus) /** @type {HTMLElement} */ (element.querySelector(':is(input, textarea, button):not(:disabled)') ?? content).focus();
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
 * At a point of the window, moved just so far that all of it is seen.
 * @param {HTMLElement} element
 * @param {number} x
 * @param {number} y
 */
function placeAt(element, x, y) {
  element.style.maxHeight = `${window.innerHeight - 2 * MARGIN}px`;
  lie(element, x, y);
}

/**
 * Below a box, or above it where there is more room, always inside the window.
 * @param {HTMLElement} element
 * @param {DOMRect} box
 */
function placeBeside(element, box) {
  const below = window.innerHeight - box.bottom - MARGIN;
  const above = box.top - MARGIN;
  const up = below < Math.min(element.offsetHeight, 260) && above > below;
  const room = Math.max(120, up ? above : below);
  element.style.maxHeight = `${Math.min(room, 420)}px`;
  element.style.minWidth = `${Math.min(Math.max(box.width, 120), window.innerWidth - 2 * MARGIN)}px`;
  lie(element, box.left, up ? box.top - element.offsetHeight - 2 : box.bottom + 2);
}

/**
 * @param {HTMLElement} element
 * @param {number} x
 * @param {number} y
 */
function lie(element, x, y) {
  element.style.left = `${Math.max(MARGIN, Math.min(x, window.innerWidth - element.offsetWidth - MARGIN))}px`;
  element.style.top = `${Math.max(MARGIN, Math.min(y, window.innerHeight - element.offsetHeight - MARGIN))}px`;
}

/**
 * An entry of a menu; null draws a line.
 * @typedef {{label: string, run: () => unknown, keys?: string, disabled?: boolean, checked?: boolean, colour?: string}} MenuItem
 */

/**
 * Open a menu: arrow keys, Home, End, first letters, Enter.
 * @param {HTMLElement} anchor
 * @param {readonly (MenuItem | null)[]} items
 * @param {{x?: number, y?: number, label?: string}} [options]
 */
export function openMenu(anchor, items, options = {}) {
  const isMarked = items.some((item) => item && (item.checked !== undefined || item.colour));
  const rows = tidy(items).map((item) => (item ? menuButton(item, isMarked, () => popup.close()) : h('hr')));
  const menu = h('div', { role: 'menu', class: 'menu', tabIndex: -1, 'aria-label': options.label }, ...rows);
  menu.addEventListener('keydown', (event) => {
    if (event.key !== 'Tab') return moveInMenu(menu, event);
    event.preventDefault();
    popup.close();
  });
  menu.addEventListener('contextmenu', (event) => event.preventDefault());
  const popup = openPopup(anchor, menu, { ...options, isMenu: true });
}

/**
 * No lines at the ends, and no two together.
 * @param {readonly (MenuItem | null)[]} items
 */
function tidy(items) {
  return items.filter((item, i) => item !== null || (items.slice(0, i).some(Boolean) && items[i - 1] !== null && items.slice(i + 1).some(Boolean)));
}

/**
 * @param {MenuItem} item
 * @param {boolean} isMarked whether there is room for marks before the labels
 * @param {() => void} close
 */
function menuButton({ label, run, keys, disabled = false, checked, colour = '' }, isMarked, close) {
  const mark = isMarked ? h('span', { class: 'menu-mark' }, checked ? icon('check') : null) : null;
  if (mark) mark.style.background = colour;
  return h('button', {
    type: 'button', class: 'menu-item', role: checked === undefined ? 'menuitem' : 'menuitemcheckbox', disabled, tabIndex: -1, 'aria-checked': checked,
    onclick: () => {
      close();
      run();
    },
  }, mark, h('span', { class: 'menu-label' }, label), keys ? h('kbd', { 'aria-hidden': 'true' }, keys) : null);
}

/**
 * @param {HTMLElement} menu
 * @param {KeyboardEvent} event
 */
function moveInMenu(menu, event) {
  const items = [...menu.querySelectorAll('button')].filter(({ disabled }) => !disabled);
  const at = items.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  /** @type {Record<string, number>} */
  const moves = { ArrowDown: at + 1, ArrowUp: (at < 0 ? items.length : at) - 1, Home: 0, End: items.length - 1 };
  let to = moves[event.key];
  if (to === undefined && event.key.length === 1 && event.key !== ' ' && !event.ctrlKey && !event.metaKey && !event.altKey) {
    const letter = event.key.toLowerCase();
    const found = [...items.slice(at + 1), ...items.slice(0, at + 1)].find((item) => item.textContent?.toLowerCase().startsWith(letter));
    if (found) to = items.indexOf(found);
  }
  if (to === undefined) return;
  event.preventDefault();
  items[(to + items.length) % items.length]?.focus();
}
