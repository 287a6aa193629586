/**
 * The search for node types: opens where a node is wanted, finds by a few letters, and links what is chosen.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {NodeSpec} from '../model/types.js' */
/** @import {Accept} from './palette/add.js' */
import { api } from '../net/api.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { openPopup } from '../util/popup.js';
import { addType, fittingSocket, recentTypes } from './palette/add.js';
import { typeDot, typeHelp } from './palette/help.js';
import { rank, shown } from './palette/rank.js';

const MOST = 100;
const MOST_FILES = 500;

/** @typedef {{x: number, y: number, clientX: number, clientY: number, accept?: Accept}} Wanted */

/**
 * Offer the actions `search.open`, whose event's `detail` says where on the canvas and in the window, and what the node is
 * to be linked to (without it, in the middle), and `search.add`, which adds the node `type` at `x`, `y`.
 * @param {App} app
 * @param {HTMLElement} element
 */
export function mountSearch(app, element) {
  app.actions.add({
    id: 'search.open', label: 'search.open', group: 'menu.edit', keys: ['Shift+KeyA'],
    run: (event) => openSearch(app, element, event instanceof CustomEvent ? event.detail : undefined),
  }, {
    id: 'search.add', label: 'search.open', group: '', enabled: () => app.session.get().editable,
    run: (event) => {
      const { type, x, y } = /** @type {CustomEvent<{type: string, x: number, y: number}>} */ (event).detail;
      addType(app, app.catalogue.get().specs.get(type), { x, y });
    },
  });
}

/**
 * @param {App} app
 * @param {HTMLElement} element
 * @param {Wanted} [wanted]
 */
function openSearch(app, element, wanted) {
  const box = (document.getElementById('stage') ?? document.body).getBoundingClientRect();
  const where = { ...app.middle(), clientX: box.left + box.width / 2, clientY: box.top + box.height / 2, ...wanted };
  if (!wanted) [where.clientX, where.clientY] = [where.clientX - 300, where.clientY - 200];
  const { accept } = where;
  const catalogue = app.catalogue.get();
  const fitting = [...catalogue.specs.values()].filter((spec) => !accept || fittingSocket(spec, accept) !== null);
  const state = { found: /** @type {NodeSpec[]} */ ([]), at: 0 };
  const list = h('div', { role: 'listbox', class: 'list', id: 'search-list', 'aria-label': t('search.types') });
  const help = h('div', { class: 'search-help', role: 'region', tabIndex: 0, 'aria-label': t('search.help') });
  const said = h('div', { class: 'sr-only', role: 'status' });
  const field = h('input', {
    type: 'text', class: 'popup-filter', role: 'combobox', placeholder: t('search.placeholder'), autocomplete: 'off', spellcheck: false,
    'aria-label': t('search.open'), 'aria-expanded': 'true', 'aria-controls': 'search-list', 'aria-autocomplete': 'list',
  });
  const take = (/** @type {number} */ i) => {
    const spec = state.found[i];
    if (!spec) return;
    popup.close();
    const id = addType(app, spec, where, accept);
    if (id === null) app.say('warning', t('search.cannot'));
    else app.actions.run('view.focus', new CustomEvent('focus', { detail: { id, still: true } }));
  };
  const mark = () => {
    for (const [i, item] of [...list.children].entries()) item.setAttribute('aria-selected', String(i === state.at));
    const spec = state.found[state.at];
    help.replaceChildren(...(spec ? [typeHelp(catalogue, spec)] : []));
    if (spec) field.setAttribute('aria-activedescendant', `search-${state.at}`);
    else field.removeAttribute('aria-activedescendant');
    list.children[state.at]?.scrollIntoView({ block: 'nearest' });
  };
  const draw = (keep = false) => {
    const before = state.at > 0 ? state.found[state.at] : undefined;
    state.found = rank(fitting, field.value, recentTypes(app)).slice(0, MOST);
    state.at = keep && before ? Math.max(0, state.found.indexOf(before)) : 0;
    list.replaceChildren(...state.found.map((spec, i) => item(spec, i, take, () => {
      state.at = i;
      mark();
    })));
    if (state.found.length === 0) list.append(h('div', { class: 'list-more' }, t('search.nothing')));
    said.textContent = t('search.count', { count: state.found.length });
    mark();
  };
  field.addEventListener('input', () => draw());
  field.addEventListener('keydown', (event) => {
    /** @type {Record<string, number>} */
    const moves = { ArrowDown: state.at + 1, ArrowUp: state.at - 1, PageDown: state.at + 8, PageUp: state.at - 8 };
    const to = moves[event.key];
    if (to !== undefined) {
      state.at = Math.max(0, Math.min(state.found.length - 1, to));
      mark();
    } else if (event.key === 'Enter' && !event.isComposing) take(state.at);
    else return;
    event.preventDefault();
  });
  const head = accept ? h('div', { class: 'search-type' }, typeDot(catalogue, accept.type), t(`search.fits.${accept.side}`, { type: accept.type })) : null;
  const content = h('div', { class: 'search', role: 'dialog', 'aria-label': t('search.open') },
    head, field, h('div', { class: 'search-body' }, list, help), said);
  draw();
  const popup = openPopup(element, content, { x: where.clientX, y: where.clientY });
  // What such a file takes and gives is not known before a node uses it, so it fits no link yet.
  if (!accept) void savedParts(app).then((parts) => {
    if (parts.length === 0 || !list.isConnected) return;
    fitting.push(...parts);
    draw(true);
  });
}

/**
 * The saved workflows beside the shown one, which a node may use.
 * @param {App} app
 * @returns {Promise<NodeSpec[]>}
 */
async function savedParts(app) {
  const { name: own } = app.session.get().file.get();
  if (own === null) return [];
  const folder = own.slice(0, own.lastIndexOf('/') + 1);
  const { specs } = app.catalogue.get();
  /** @type {{name: string}[]} */
  const saved = await api.get('workflows', { limit: MOST_FILES }).then(({ workflows }) => workflows, () => []);
  const beside = saved.filter(({ name }) => name !== own && name.startsWith(folder) && /\.ya?ml$/.test(name));
  return beside.map(({ name }) => `./${name.slice(folder.length)}`).filter((uses) => !specs.has(uses)).map((uses) => ({
    name: uses, display_name: uses, category: t('search.saved'), pack: '', version: 0, description: t('search.saved.help'),
    output_node: false, inputs: [], outputs: [],
  }));
}

/**
 * @param {NodeSpec} spec
 * @param {number} i
 * @param {(i: number) => void} take
 * @param {() => void} over
 */
function item(spec, i, take, over) {
  return h('div', { role: 'option', class: 'list-item search-item', id: `search-${i}`, onclick: () => take(i), onpointermove: over },
    h('span', { class: 'search-name' }, shown(spec)), h('span', { class: 'search-category' }, spec.category));
}
