/** What makes a panel wider. @module */
/** @import {App} from '../app.js' */
import { h } from '../util/h.js';

const STEP = 24;

/**
 * An edge of a panel that is dragged, or moved by arrow keys.
 * @param {App} app
 * @param {HTMLElement} panel
 * @param {{side: 'left' | 'right', setting: 'sideWidth' | 'yamlWidth', label: string, least: number, most: () => number}} what `side`
 *   is where on the panel it lies, `setting` what keeps the width
 */
export function widthEdge(app, panel, { side, setting, label, least, most }) {
  const edge = h('div', { class: `panel-edge ${side}`, role: 'separator', tabIndex: 0, 'aria-orientation': 'vertical', 'aria-label': label, 'aria-valuemin': least });
  const outwards = side === 'right' ? 1 : -1;
  const set = (/** @type {number} */ width) => app.set({ [setting]: Math.round(Math.min(most(), Math.max(least, width))) });
  app.settings.subscribe((settings) => {
    edge.setAttribute('aria-valuenow', String(settings[setting]));
    edge.setAttribute('aria-valuemax', String(most()));
  }, true);
  edge.addEventListener('pointerdown', (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    edge.setPointerCapture(event.pointerId);
  });
  edge.addEventListener('pointermove', (event) => {
    const box = panel.getBoundingClientRect();
    if (edge.hasPointerCapture(event.pointerId)) set(side === 'right' ? event.clientX - box.left : box.right - event.clientX);
  });
  edge.addEventListener('keydown', (event) => {
    const by = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    set(app.settings.get()[setting] + by * outwards);
  });
  return edge;
}
