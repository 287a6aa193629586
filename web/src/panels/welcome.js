/**
 * The first visit, the examples, and what to do with an empty file.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Problem} from '../model/types.js' */
import { writeJson } from '../app.js';
import { api } from '../net/api.js';
import { choose } from '../util/dialog.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';
import { addLightbox } from './lightbox.js';
import { Scope } from './scope.js';

const SEEN = 'nodegraph.welcomed';

/** @param {App} app */
export function addWelcome(app) {
  addLightbox(app);
  app.actions.add({ id: 'welcome.examples', label: 'welcome.examples', group: 'menu.help', run: () => void showExamples(app) });
  greet(app);
  helpWithEmptiness(app);
}

/** Point at the one button that gives a picture, until something has been run or the card was put away. @param {App} app */
function greet(app) {
  if (app.storage?.getItem(SEEN)) return;
  const close = () => {
    writeJson(app.storage, SEEN, 1);
    card.remove();
    stop();
  };
  const card = h('aside', { class: 'welcome', 'aria-labelledby': 'welcome-title' },
    h('h2', { id: 'welcome-title' }, t('welcome.title')), h('p', {}, t('welcome.text')),
    h('div', { class: 'welcome-tools' },
      h('button', { type: 'button', onclick: () => void showExamples(app) }, t('file.examples')),
      h('button', { type: 'button', onclick: () => app.actions.run('app.keys') }, t('app.keys')),
      iconButton('close', t('panel.dismiss'), close, { class: 'icon-button welcome-close' })));
  document.getElementById('overlays')?.append(card);
  const stop = app.run.subscribe(({ state }) => {
    if (state !== 'none') close();
  });
}

/** Say what to do with a file that has no nodes. @param {App} app */
function helpWithEmptiness(app) {
  const action = (/** @type {string} */ id, /** @type {string} */ label) => h('button', { type: 'button', onclick: () => app.actions.run(id) }, t(label));
  const card = h('div', { class: 'stage-empty', hidden: true }, h('p', {}, t('welcome.empty')),
    h('div', { class: 'welcome-tools' }, action('search.open', 'welcome.addNode'), action('welcome.examples', 'welcome.examples'), action('file.open', 'file.open')));
  document.getElementById('stage')?.append(card);
  new Scope().within(app.session, (session) => {
    const show = () => void (card.hidden = session.graph.get().nodes.size > 0 || !session.editable);
    show();
    return [session.graph.subscribe(show), session.textProblems.subscribe(show)];
  });
}

/** @param {App} app */
export async function showExamples(app) {
  const list = h('div', { class: 'examples' }, h('p', { role: 'status' }, t('welcome.examples.loading')));
  const answer = choose({ title: t('welcome.examples'), body: [list], choices: [{ id: '', label: t('dialog.close') }], className: 'wide' });
  try {
    const { examples } = await api.get('examples');
    fill(list, ...examples.map(card));
  } catch (error) {
    const { message, hint } = /** @type {import('../net/api.js').ApiError} */ (error);
    fill(list, h('p', { class: 'fault', role: 'alert' }, message, hint ? h('span', { class: 'hint' }, ` ${hint}`) : null));
  }
  const name = await answer;
  if (name) app.actions.run('file.openExample', new CustomEvent('open', { detail: { name } }));
}

/** @param {{name: string, description: string, runnable: boolean, problem: Problem | null}} example */
function card({ name, description, runnable, problem }) {
  const missing = runnable ? null : h('span', { class: 'example-missing' }, icon('warning'), ' ', problem ? `${problem.message}${problem.hint ? ` · ${problem.hint}` : ''}` : t('welcome.examples.missing'));
  return h('button', { type: 'submit', value: name, class: 'example' }, h('strong', {}, name), h('span', {}, description), missing);
}
