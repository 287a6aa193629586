/**
 * All node types by category, to be dragged onto the canvas or added by a press.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Catalogue} from '../model/catalogue.js' */
/** @import {NodeSpec} from '../model/types.js' */
/** @import {Scope} from './scope.js' */
import { NODE_TYPE } from '../input/pointer_drop.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { addInMiddle } from './palette/add.js';
import { rank, shown } from './palette/rank.js';

/** @typedef {{path: string, name: string, folders: Map<string, Folder>, specs: NodeSpec[]}} Folder */

/**
 * Show the palette in an element.
 * @param {App} app
 * @param {HTMLElement} body
 * @param {Scope} scope
 */
export function mount(app, body, scope) {
  /** The folders that are open, by path. @type {Set<string>} */
  const open = new Set();
  const field = h('input', {
    type: 'search', class: 'palette-filter', placeholder: t('palette.filter'), 'aria-label': t('palette.filter'), autocomplete: 'off', spellcheck: false,
  });
  const tree = h('div', { class: 'palette-body' });
  const said = h('div', { class: 'sr-only', role: 'status' });
  const draw = () => {
    const catalogue = app.catalogue.get();
    const all = [...catalogue.specs.values()];
    if (field.value.trim()) {
      const found = rank(all, field.value);
      fill(tree, h('ul', { class: 'palette-list' }, ...found.map((spec) => entry(app, spec, true))), found.length ? null : h('p', { class: 'palette-empty' }, t('palette.nothing')));
      said.textContent = t('search.count', { count: found.length });
    } else {
      const root = foldersOf(all);
      fill(tree, all.length ? null : h('p', { class: 'palette-empty' }, t('panel.nodes.empty')),
        ...[...root.folders.values()].map((folder) => folderElement(app, folder, open)), ...root.specs.map((spec) => entry(app, spec, false)), brokenPacks(catalogue));
      said.textContent = '';
    }
  };
  field.addEventListener('input', draw);
  const element = h('div', { class: 'palette' }, field, tree, said);
  element.addEventListener('keydown', (event) => moveFocus(element, event));
  fill(body, element);
  scope.on(app.catalogue, draw);
}

/** @param {readonly NodeSpec[]} specs @returns {Folder} */
function foldersOf(specs) {
  /** @type {Folder} */
  const root = { path: '', name: '', folders: new Map(), specs: [] };
  for (const spec of [...specs].sort((a, b) => shown(a).localeCompare(shown(b)))) {
    let folder = root;
    for (const name of spec.category.split('/').filter(Boolean)) {
      let next = folder.folders.get(name);
      if (!next) folder.folders.set(name, next = { path: `${folder.path}/${name}`, name, folders: new Map(), specs: [] });
      folder = next;
    }
    folder.specs.push(spec);
  }
  sortFolders(root);
  return root;
}

/** By name; what begins with `_` is for few and comes last. @param {Folder} folder */
function sortFolders(folder) {
  folder.folders = new Map([...folder.folders].sort(([a], [b]) => Number(a.startsWith('_')) - Number(b.startsWith('_')) || a.localeCompare(b)));
  for (const inner of folder.folders.values()) sortFolders(inner);
}

/** @param {Folder} folder @returns {number} */
function countOf(folder) {
  return folder.specs.length + [...folder.folders.values()].reduce((sum, inner) => sum + countOf(inner), 0);
}

/**
 * @param {App} app
 * @param {Folder} folder
 * @param {Set<string>} open
 * @returns {HTMLElement}
 */
function folderElement(app, folder, open) {
  const details = h('details', { class: 'palette-folder', open: open.has(folder.path) },
    h('summary', {}, folder.name, h('span', { class: 'palette-count' }, countOf(folder))));
  const fillIn = () => {
    if (details.childElementCount > 1) return;
    details.append(h('div', { class: 'palette-inner' }, ...[...folder.folders.values()].map((inner) => folderElement(app, inner, open)),
      h('ul', { class: 'palette-list' }, ...folder.specs.map((spec) => entry(app, spec, false)))));
  };
  // Most folders stay shut: what is in one is made when it is opened.
  if (details.open) fillIn();
  details.addEventListener('toggle', () => {
    if (details.open) {
      open.add(folder.path);
      fillIn();
    } else open.delete(folder.path);
  });
  return details;
}

/**
 * @param {App} app
 * @param {NodeSpec} spec
 * @param {boolean} withCategory
 */
function entry(app, spec, withCategory) {
  const add = () => {
    const id = addInMiddle(app, spec);
    if (id === null) app.say('warning', t('search.cannot'));
    else app.say('info', t('panel.nodes.added', { name: id }));
  };
  const button = h('button', {
    type: 'button', class: `palette-node${spec.deprecated ? ' deprecated' : ''}`, draggable: true, title: spec.description.split('\n')[0] ?? '', onclick: add,
    ondragstart: (/** @type {DragEvent} */ event) => {
      event.dataTransfer?.setData(NODE_TYPE, spec.name);
      event.dataTransfer?.setData('text/plain', spec.name);
      if (event.dataTransfer) event.dataTransfer.effectAllowed = 'copy';
    },
  }, shown(spec), withCategory ? h('span', { class: 'search-category' }, spec.category) : null);
  return h('li', {}, button);
}

/** The packs that could not be loaded, and why. @param {Catalogue} catalogue */
function brokenPacks({ broken }) {
  if (broken.length === 0) return null;
  return h('section', { class: 'palette-broken', 'aria-label': t('palette.broken') }, h('h3', {}, icon('warning'), ' ', t('palette.broken')),
    ...broken.map(({ name, reason, details }) => h('details', {}, h('summary', {}, name), h('p', {}, reason), details ? h('pre', {}, details) : null)));
}

/**
 * Arrow keys go from entry to entry, left and right shut and open folders.
 * @param {HTMLElement} element
 * @param {KeyboardEvent} event
 */
function moveFocus(element, event) {
  const { activeElement } = document;
  const folder = activeElement?.tagName === 'SUMMARY' ? /** @type {HTMLDetailsElement} */ (activeElement.parentElement) : null;
  if (folder && (event.key === 'ArrowRight' || event.key === 'ArrowLeft')) {
    folder.open = event.key === 'ArrowRight';
    event.preventDefault();
    return;
  }
  if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return;
  const stops = /** @type {HTMLElement[]} */ ([...element.querySelectorAll('input, summary, .palette-node')]).filter((stop) => stop.checkVisibility());
  const at = stops.indexOf(/** @type {HTMLElement} */ (activeElement));
  const next = stops[at + (event.key === 'ArrowDown' ? 1 : -1)];
  if (at < 0 || !next) return;
  event.preventDefault();
  event.stopPropagation();
  next.focus();
}
