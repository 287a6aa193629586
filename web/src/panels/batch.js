/** How often to run, and whether by itself: beside the button that runs. @module */
/** @import {App} from '../app.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';

const MOST = 100;

/** @param {App} app */
export function mountBatch(app) {
  const place = document.getElementById('run-extra');
  if (!place) return;
  const count = h('input', { type: 'number', class: 'batch', min: '1', max: String(MOST), step: '1', value: '1', 'aria-label': t('run.batch'), title: t('run.batch') });
  count.addEventListener('change', () => {
    const wanted = Math.round(Number(count.value)) || 1;
    app.batch.set(Math.min(MOST, Math.max(1, wanted)));
    count.value = String(app.batch.get());
  });
  app.batch.subscribe((value) => void (count.value = String(value)));
  const auto = iconButton('repeat', t('run.auto'), () => app.actions.run('run.auto'), { class: 'icon-button auto' });
  app.settings.subscribe(({ autoQueue }) => auto.setAttribute('aria-pressed', String(autoQueue)), true);
  place.append(auto, count);
}
