/** The model files that the server has, by kind. @module */
/** @import {App} from '../app.js' */
/** @import {Scope} from './scope.js' */
import { fill, h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  const filter = h('input', { type: 'search', placeholder: t('panel.filter'), 'aria-label': t('panel.filter') });
  const list = h('div', { class: 'models' });
  const refresh = iconButton('repeat', t('run.refresh'), () => app.actions.run('run.refresh'));
  fill(body, h('div', { class: 'panel-tools' }, filter, refresh), list);
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const kinds = [...app.models.get()].map(([kind, names]) => /** @type {const} */ ([kind, names.filter((name) => `${kind}/${name}`.toLowerCase().includes(wanted))]));
    const shown = kinds.filter(([, names]) => names.length);
    const empty = h('p', { class: 'empty' }, t(app.models.get().size && wanted ? 'panel.nothingFits' : 'panel.models.empty'));
    fill(list, ...(shown.length ? shown.map(([kind, names]) => section(app, kind, names)) : [empty]));
  };
  filter.addEventListener('input', draw);
  scope.on(app.models, draw);
}

/** @param {App} app @param {string} kind @param {readonly string[]} names */
function section(app, kind, names) {
  const copy = async (/** @type {string} */ name) => {
    await copyText(name);
    app.say('info', t('panel.copied', { name }));
  };
  return h('details', { open: true }, h('summary', {}, `${kind} (${names.length})`),
    h('ul', { class: 'plain' }, ...names.map((name) => h('li', {}, h('span', { class: 'path' }, name), iconButton('copy', t('panel.copy', { name }), () => copy(name))))));
}

/** Copy a text; pages that came over plain HTTP have no clipboard of the new kind. @param {string} text */
async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const field = h('textarea', { value: text, class: 'sr-only' });
    document.body.append(field);
    field.select();
    document.execCommand('copy');
    field.remove();
  }
}
