/** The workflows that are saved on the server, and the examples. @module */
/** @import {App} from '../app.js' */
/** @import {Scope} from './scope.js' */
import { api, name as piece } from '../net/api.js';
import { askText } from '../util/dialog.js';
import { fill, h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';
import { timeText } from './thumbs.js';

/** @typedef {{name: string, size: number, modified: number}} Saved */

const MOST = 1000;

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  const filter = h('input', { type: 'search', placeholder: t('panel.filter'), 'aria-label': t('panel.filter') });
  const list = h('ul', { class: 'plain files' });
  const action = (/** @type {string} */ id, /** @type {string} */ label) => h('button', { type: 'button', onclick: () => app.actions.run(id) }, label);
  fill(body, h('div', { class: 'panel-tools' }, action('file.new', t('file.new')), action('file.import', t('file.import')), action('welcome.examples', t('file.examples'))),
    h('div', { class: 'panel-tools' }, filter), list);
  /** @type {Saved[]} */
  let saved = [];
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const shown = saved.filter(({ name }) => name.toLowerCase().includes(wanted));
    const empty = h('li', { class: 'empty' }, t(saved.length ? 'panel.nothingFits' : 'panel.workflows.empty'));
    fill(list, ...(shown.length ? shown.map((file) => row(app, file, () => void read())) : [empty]));
  };
  const read = async () => {
    try {
      ({ workflows: saved } = await api.get('workflows', { limit: MOST }));
      if (!scope.isOver) draw();
    } catch (error) {
      if (!scope.isOver && app.online.get()) app.sayError(error);
    }
  };
  filter.addEventListener('input', draw);
  scope.on(app.online, (online) => online && void read());
  // A file that was saved just now is in the list at once.
  scope.within(app.sessions, (sessions) => sessions.map((session) => session.saved.subscribe(() => void read())));
}

/** @param {App} app @param {Saved} file @param {() => void} changed */
function row(app, { name, modified }, changed) {
  const open = h('button', { type: 'button', class: 'file-open', title: name, onclick: () => app.actions.run('file.openName', new CustomEvent('open', { detail: { name } })) },
    h('span', { class: 'path' }, name), h('span', { class: 'hint' }, timeText(modified, app.language.get())));
  const tool = (/** @type {string} */ symbol, /** @type {string} */ label, /** @type {() => Promise<void>} */ run) =>
    iconButton(symbol, label, () => run().catch((error) => app.sayError(error)));
  return h('li', {}, open,
    tool('rename', t('panel.rename', { name }), () => rename(app, name, changed)),
    tool('trash', t('panel.delete', { name }), () => remove(app, name, changed)));
}

/** @param {App} app @param {string} name @param {() => void} changed */
async function rename(app, name, changed) {
  const wanted = await askText({ title: t('panel.rename', { name }), label: t('file.name'), value: name, ok: t('panel.rename.ok') });
  if (!wanted || wanted === name) return;
  const answer = await api.post(`workflows/${piece(name)}/rename`, { to: wanted });
  for (const session of app.sessions.get()) {
    const file = session.file.get();
    if (file.name === name) session.file.set({ ...file, name: answer.name, label: answer.name });
  }
  changed();
}

/** Nothing is lost: it goes to the trash, from where it can be taken back. @param {App} app @param {string} name @param {() => void} changed */
async function remove(app, name, changed) {
  const { trashed } = await api.remove(`workflows/${piece(name)}`);
  changed();
  const restore = async () => {
    try {
      await api.post(`trash/${piece(trashed)}/restore`, { to: name });
      changed();
    } catch (error) {
      app.sayError(error);
    }
  };
  app.say('info', t('panel.deleted', { name }), { action: { label: t('panel.undo'), run: () => void restore() } });
}
