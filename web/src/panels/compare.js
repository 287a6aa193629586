/** Two pictures over each other, and a slider between them. @module */
/** @import {Picture} from '../app.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';

/**
 * Show two pictures; the slider shows more of one or of the other, by pointer or by the arrow keys.
 * @param {Picture} first
 * @param {Picture} second
 */
export function showCompare(first, second) {
  const top = h('img', { src: second.file, alt: second.name, class: 'compare-top', draggable: false });
  const line = h('div', { class: 'compare-line' });
  const slider = h('input', { type: 'range', min: '0', max: '100', value: '50', step: '1', class: 'compare-slider', 'aria-label': t('gallery.compare.slider') });
  const place = () => {
    top.style.clipPath = `inset(0 0 0 ${slider.value}%)`;
    line.style.left = `${slider.value}%`;
    slider.setAttribute('aria-valuetext', t('gallery.compare.share', { percent: slider.value, name: first.name }));
  };
  slider.addEventListener('input', place);
  place();
  const dialog = h('dialog', { class: 'lightbox compare', 'aria-label': t('gallery.compare') },
    h('div', { class: 'lightbox-head' }, h('span', { class: 'compare-name' }, first.name), h('span', { class: 'compare-name' }, second.name),
      iconButton('close', t('dialog.close'), () => void dialog.close())),
    h('div', { class: 'compare-stage' }, h('img', { src: first.file, alt: first.name, draggable: false }), top, line, slider));
  dialog.addEventListener('close', () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
  slider.focus();
}
