/** All node types by category, to be dragged to the canvas or added to its middle. @module */
/** @import {App} from '../app.js' */
/** @import {NodeSpec} from '../model/types.js' */
/** @import {Scope} from './scope.js' */
import { addNode } from '../model/graph.js';
import { fill, h } from '../util/h.js';
import { t } from '../util/i18n.js';

/** What a dragged node type is, for the canvas. */
const NODE_TYPE = 'application/x-nodegraph-type';

/** @typedef {{folders: Map<string, Folder>, specs: NodeSpec[]}} Folder */

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  const filter = h('input', { type: 'search', placeholder: t('panel.filter'), 'aria-label': t('panel.filter') });
  const tree = h('div', { class: 'palette' });
  fill(body, h('div', { class: 'panel-tools' }, filter), tree);
  const draw = () => {
    const wanted = filter.value.trim().toLowerCase();
    const { specs, broken } = app.catalogue.get();
    const found = [...specs.values()].filter((spec) => !wanted || `${spec.category}/${spec.display_name} ${spec.name}`.toLowerCase().includes(wanted));
    fill(tree, ...branches(app, foldersOf(found), wanted !== ''), found.length ? null : h('p', { class: 'empty' }, t(specs.size ? 'panel.nothingFits' : 'panel.nodes.empty')),
      ...broken.map(({ name, reason }) => h('p', { class: 'fault' }, t('panel.nodes.broken', { name, reason }))));
  };
  filter.addEventListener('input', draw);
  scope.on(app.catalogue, draw);
}

/** @param {readonly NodeSpec[]} specs @returns {Folder} */
function foldersOf(specs) {
  /** @type {Folder} */
  const root = { folders: new Map(), specs: [] };
  for (const spec of specs) {
    let at = root;
    for (const part of spec.category.split('/').filter(Boolean)) {
      let next = at.folders.get(part);
      if (!next) at.folders.set(part, (next = { folders: new Map(), specs: [] }));
      at = next;
    }
    at.specs.push(spec);
  }
  return root;
}

/** @param {App} app @param {Folder} folder @param {boolean} open @returns {HTMLElement[]} */
function branches(app, folder, open) {
  const sorted = [...folder.folders].sort(([a], [b]) => a.localeCompare(b));
  const specs = folder.specs.sort((a, b) => a.display_name.localeCompare(b.display_name));
  return [...sorted.map(([name, inner]) => h('details', { open }, h('summary', {}, name), ...branches(app, inner, open))), ...specs.map((spec) => entry(app, spec))];
}

/** @param {App} app @param {NodeSpec} spec */
function entry(app, spec) {
  const button = h('button', { type: 'button', class: 'palette-node', title: spec.description, draggable: true, onclick: () => add(app, spec) }, spec.display_name);
  button.addEventListener('dragstart', (event) => {
    event.dataTransfer?.setData(NODE_TYPE, spec.name);
    if (event.dataTransfer) event.dataTransfer.effectAllowed = 'copy';
  });
  return button;
}

/** @param {App} app @param {NodeSpec} spec */
function add(app, spec) {
  const session = app.session.get();
  let id = '';
  const done = session.edit('panel.nodes.add', (graph) => {
    const { x, y } = app.middle();
    const added = addNode(graph, { id: spec.name.toLowerCase(), uses: spec.name }, { x: Math.round(x), y: Math.round(y) });
    id = added.id;
    return added.graph;
  });
  if (!done) return void app.say('error', t('gallery.cannotEdit'), { hint: t('run.unreadable.hint') });
  session.selection.set(new Set([id]));
  app.announce(t('panel.nodes.added', { name: id }));
  return undefined;
}
