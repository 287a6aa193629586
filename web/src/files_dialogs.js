/**
 * The question that is asked when a file was saved elsewhere meanwhile.
 *
 * @module
 */

import { choose } from './util/dialog.js';
import { h } from './util/h.js';
import { t } from './util/i18n.js';

/**
 * Show what differs between the saved file and this one, and ask what to do.
 * @param {string} name
 * @param {unknown} diff as the server tells it
 * @returns {Promise<string | null>} 'overwrite', 'open' or null
 */
export function showDiff(name, diff) {
  return choose({
    title: t('file.conflict', { name }),
    className: 'wide',
    body: [h('p', {}, t('file.conflict.text')), h('pre', { class: 'diff', tabIndex: 0 }, ...diffLines(diff))],
    choices: [
      { id: '', label: t('dialog.cancel'), primary: true },
      { id: 'open', label: t('file.conflict.open') },
      { id: 'overwrite', label: t('file.conflict.overwrite'), danger: true },
    ],
  });
}

/** @param {unknown} diff */
function diffLines(diff) {
  const text = typeof diff === 'string' ? diff : JSON.stringify(diff, null, 2) ?? '';
  return text.split('\n').map((line) => h('span', { class: line.startsWith('+') ? 'added' : line.startsWith('-') ? 'removed' : '' }, `${line}\n`));
}
