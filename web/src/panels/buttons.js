/** Buttons that several panels have. @module */
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';

/**
 * A button that shows an icon only; its label is for those who rest on it or hear it.
 * @param {string} symbol
 * @param {string} label
 * @param {(event: Event) => unknown} run
 * @param {Record<string, any>} [props] others of the element
 */
export function iconButton(symbol, label, run, props = {}) {
  return h('button', { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick: run, ...props }, icon(symbol));
}

/**
 * Show where in a long list its page is, and the way to those beside it; nothing where all fits on one.
 * @param {HTMLElement} element
 * @param {{offset: number, size: number, total: number}} page
 * @param {(offset: number) => void} go
 */
export function fillPages(element, { offset, size, total }, go) {
  if (total <= size) return fill(element);
  fill(element,
    h('button', { type: 'button', disabled: offset === 0, onclick: () => go(Math.max(0, offset - size)) }, t('panel.newer')),
    h('span', {}, t('panel.range', { from: offset + 1, to: Math.min(total, offset + size), total })),
    h('button', { type: 'button', disabled: offset + size >= total, onclick: () => go(offset + size) }, t('panel.older')));
}
