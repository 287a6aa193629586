/**
 * Edits as actions: what keys and menus do to the file that is shown.
 *
 * @module
 */

/** @import {App} from './app.js' */
/** @import {Alignment, Box} from './model/arrange.js' */
/** @import {Graph, Mode, Node, Raw, Ref} from './model/types.js' */
import { align } from './model/arrange.js';
import { accepts, sourceOf, specOf } from './model/catalogue.js';
import { copyText, fragmentOf, freeTitle, paste, readFragment } from './model/clipboard.js';
import { placeNode, readItem, removeNodes, renameNode, setGroup, setNotes, setPoints, splitKey, updateNode, updateNote } from './model/graph.js';
import { isName } from './model/values.js';
import { askText } from './util/dialog.js';
import { t } from './util/i18n.js';
import { COLOURS } from './view/colours.js';
import { around, layoutNode, placeOf } from './view/geometry.js';

const GROUP_PAD = 20;
const GROUP_HEAD = 40;
/** @type {readonly Alignment[]} */
const ALIGNMENTS = ['left', 'center', 'right', 'top', 'middle', 'bottom', 'columns', 'rows'];

/** @param {App} app */
export function addEditing(app) {
  addHistory(app);
  addClipboard(app);
  addModes(app);
  addArranging(app);
}

/** @param {App} app @returns {ReadonlySet<string>} */
function selected(app) {
  return app.session.get().selection.get();
}

/** @param {App} app */
function selectedNodes(app) {
  const graph = app.session.get().graph.get();
  return [...selected(app)].flatMap((key) => graph.nodes.get(key) ?? []);
}

/** @param {App} app */
function hasSelection(app) {
  return selected(app).size > 0;
}

/** @param {App} app */
function hasNodes(app) {
  return selectedNodes(app).length > 0;
}

/**
 * The box of an item on the canvas.
 * @param {App} app
 * @param {Graph} graph
 * @param {string} key
 * @returns {Box | null}
 */
function boxOf(app, graph, key) {
  const { kind, id, index } = readItem(key);
  if (kind === 'group') return graph.groups.get(id) ?? null;
  if (kind === 'note') return graph.notes.get(id) ?? null;
  if (kind === 'point') {
    const point = graph.points.get(id)?.[index];
    return point ? { ...point, width: 0, height: 0 } : null;
  }
  const node = graph.nodes.get(id);
  if (!node) return null;
  const place = placeOf(graph, id);
  const { width, height } = layoutNode(specOf(app.catalogue.get(), node, graph), node, place);
  return { x: place.x, y: place.y, width, height };
}

/**
 * @param {App} app
 * @param {Iterable<string>} keys
 * @returns {Map<string, Box>}
 */
function boxesOf(app, keys) {
  const graph = app.session.get().graph.get();
  /** @type {Map<string, Box>} */
  const boxes = new Map();
  for (const key of keys) {
    const box = boxOf(app, graph, key);
    if (box) boxes.set(key, box);
  }
  return boxes;
}

/** @param {App} app */
function addHistory(app) {
  const travel = (/** @type {'undo' | 'redo'} */ way) => {
    const label = app.session.get()[way]();
    if (label) app.announce(t(`edit.${way}.done`, { what: t(label) }));
  };
  app.actions.add(
    { id: 'edit.undo', label: 'edit.undo', group: 'menu.edit', keys: ['Ctrl+KeyZ'], run: () => travel('undo'), enabled: () => app.session.get().history.undoLabel !== null || !app.session.get().editable },
    { id: 'edit.redo', label: 'edit.redo', group: 'menu.edit', keys: ['Ctrl+KeyY', 'Ctrl+Shift+KeyZ'], run: () => travel('redo'), enabled: () => app.session.get().history.redoLabel !== null },
    { id: 'edit.selectAll', label: 'edit.selectAll', group: 'menu.edit', keys: ['Ctrl+KeyA'], run: () => selectAll(app) },
    { id: 'edit.delete', label: 'edit.delete', group: 'menu.edit', keys: ['Delete', 'Backspace'], run: () => removeSelected(app, 'edit.delete'), enabled: () => hasSelection(app) },
  );
}

/** @param {App} app */
function selectAll(app) {
  const { graph, selection } = app.session.get();
  const { nodes, groups, notes } = graph.get();
  selection.set(new Set([...nodes.keys(), ...[...groups.keys()].map((title) => `group:${title}`), ...notes.keys()]));
}

/**
 * Take out what is selected; what was on both sides of a node is joined where that fits.
 * @param {App} app
 * @param {string} label
 */
function removeSelected(app, label) {
  const keys = selected(app);
  app.session.get().edit(label, (graph) => removeItems(app, graph, keys));
}

/**
 * @param {App} app
 * @param {Graph} graph
 * @param {ReadonlySet<string>} keys
 */
function removeItems(app, graph, keys) {
  const items = [...keys].map(readItem);
  const ids = new Set(items.filter(({ kind }) => kind === 'node').map(({ id }) => id));
  let result = removeNodes(graph, ids, (_removed, source, consumer, input) => joins(app, graph, source, consumer, input));
  for (const { kind, id } of items) if (kind === 'group') result = setGroup(result, id, undefined);
  const notes = [...result.notes.values()].filter((note) => !keys.has(note.id));
  if (notes.length !== result.notes.size) result = setNotes(result, notes);
  for (const key of new Set(items.filter(({ kind }) => kind === 'point').map(({ id }) => id))) {
    const [id, input] = splitKey(key);
    const points = (result.points.get(key) ?? []).filter((_, i) => !keys.has(`point:${key}:${i}`));
    result = setPoints(result, id, input, points);
  }
  return result;
}

/**
 * Whether what arrived at a node that goes may go on to who took from it.
 * @param {App} app
 * @param {Graph} graph
 * @param {Raw} source
 * @param {Node} consumer
 * @param {string} input
 */
function joins(app, graph, source, consumer, input) {
  const catalogue = app.catalogue.get();
  const offered = sourceOf(catalogue, graph, source)?.output?.type;
  const wanted = specOf(catalogue, consumer, graph).inputs.find(({ name }) => name === input)?.type;
  return offered !== undefined && wanted !== undefined && offered !== '*' && wanted !== '*' && accepts(wanted, offered);
}

/** @param {App} app */
function addClipboard(app) {
  app.actions.add(
    { id: 'edit.cut', label: 'edit.cut', group: 'menu.edit', keys: ['Ctrl+KeyX'], run: () => void cut(app), enabled: () => hasSelection(app) },
    { id: 'edit.copy', label: 'edit.copy', group: 'menu.edit', keys: ['Ctrl+KeyC'], run: () => void copy(app), enabled: () => hasSelection(app) },
    { id: 'edit.paste', label: 'edit.paste', group: 'menu.edit', keys: ['Ctrl+KeyV'], run: () => void pasteFromClipboard(app, false) },
    { id: 'edit.pasteLinked', label: 'edit.pasteLinked', group: 'menu.edit', keys: ['Ctrl+Shift+KeyV'], run: () => void pasteFromClipboard(app, true) },
    { id: 'edit.duplicate', label: 'edit.duplicate', group: 'menu.edit', keys: ['Ctrl+KeyD'], run: () => duplicate(app), enabled: () => hasSelection(app) },
  );
}

/** What was copied last, for browsers that let no page read the clipboard. */
let copied = '';

/** @param {App} app */
async function copy(app) {
  copied = copyText(app.session.get().graph.get(), selected(app));
  try {
    await navigator.clipboard.writeText(copied);
  } catch {
    // The page may not write to the clipboard; it still pastes within itself.
  }
  app.announce(t('edit.copied', { count: selected(app).size }));
}

/** @param {App} app */
async function cut(app) {
  await copy(app);
  removeSelected(app, 'edit.cut');
}

/**
 * @param {App} app
 * @param {boolean} keepLinks
 */
async function pasteFromClipboard(app, keepLinks) {
  let text = copied;
  try {
    text = await navigator.clipboard.readText() || copied;
  } catch {
    // As above.
  }
  pasteText(app, text, keepLinks);
}

/**
 * Put a copied part where the pointer is, or beside where it was.
 * @param {App} app
 * @param {string} text
 * @param {boolean} keepLinks
 * @returns {boolean} whether it was one
 */
function pasteText(app, text, keepLinks) {
  const part = readFragment(text);
  if (!part) {
    if (text.trim()) app.actions.run('file.importText', new CustomEvent('import', { detail: { text } }));
    return false;
  }
  const corner = around([...part.places.values(), ...part.groups.values(), ...part.notes.values()].map((at) => ({ x: at.x, y: at.y, width: 0, height: 0 })));
  const at = app.pointer ?? { x: (corner?.x ?? 0) + 30, y: (corner?.y ?? 0) + 30 };
  insert(app, part, { dx: at.x - (corner?.x ?? 0), dy: at.y - (corner?.y ?? 0), keepLinks }, 'edit.paste');
  return true;
}

/** @param {App} app */
function duplicate(app) {
  const graph = app.session.get().graph.get();
  insert(app, fragmentOf(graph, selected(app)), { dx: 30, dy: 30, keepLinks: true }, 'edit.duplicate');
}

/**
 * @param {App} app
 * @param {Graph} part
 * @param {{dx: number, dy: number, keepLinks: boolean}} options
 * @param {string} label
 */
function insert(app, part, options, label) {
  const session = app.session.get();
  /** @type {Set<string>} */
  let items = new Set();
  const done = session.edit(label, (graph) => {
    const pasted = paste(graph, part, options);
    items = pasted.items;
    return pasted.graph;
  });
  if (done) session.selection.set(items);
}

/** @param {App} app */
function addModes(app) {
  /** @param {Mode} mode */
  const toggle = (mode) => {
    const nodes = selectedNodes(app);
    const to = nodes.every((node) => node.mode === mode) ? 'run' : mode;
    app.session.get().edit(`edit.${mode === 'muted' ? 'mute' : 'bypass'}`, (graph) => nodes.reduce((g, node) => updateNode(g, node.id, { mode: to }), graph));
  };
  /** @param {'collapsed' | 'pinned'} key @param {string} label */
  const flip = (key, label) => {
    const nodes = selectedNodes(app);
    const graph = app.session.get().graph.get();
    const on = nodes.every((node) => graph.places.get(node.id)?.[key]);
    app.session.get().edit(label, (before) => nodes.reduce((g, node) => placeNode(g, node.id, { [key]: on ? undefined : true }), before));
  };
  app.actions.add(
    { id: 'edit.mute', label: 'edit.mute', group: 'menu.node', keys: ['Ctrl+KeyM'], run: () => toggle('muted'), enabled: () => hasNodes(app) },
    { id: 'edit.bypass', label: 'edit.bypass', group: 'menu.node', keys: ['Ctrl+KeyB'], run: () => toggle('bypassed'), enabled: () => hasNodes(app) },
    { id: 'edit.collapse', label: 'edit.collapse', group: 'menu.node', keys: ['Alt+KeyC'], run: () => flip('collapsed', 'edit.collapse'), enabled: () => hasNodes(app) },
    { id: 'edit.pin', label: 'edit.pin', group: 'menu.node', keys: ['KeyP'], run: () => flip('pinned', 'edit.pin'), enabled: () => hasNodes(app) },
    { id: 'edit.rename', label: 'edit.rename', group: 'menu.node', keys: ['F2'], run: () => void rename(app), enabled: () => selectedNodes(app).length === 1 },
    ...[...COLOURS.keys()].map((colour) => ({
      id: `edit.colour.${colour}`, label: `colour.${colour}`, group: 'menu.colour', run: () => paint(app, colour), enabled: () => hasSelection(app),
    })),
    { id: 'edit.colour.none', label: 'colour.none', group: 'menu.colour', run: () => paint(app, undefined), enabled: () => hasSelection(app) },
  );
}

/** Give the selected node another name, which links to it follow. @param {App} app */
async function rename(app) {
  const [node] = selectedNodes(app);
  if (!node) return;
  const { nodes, params } = app.session.get().graph.get();
  const check = (/** @type {string} */ name) => {
    if (!isName(name)) return t('edit.rename.bad');
    return name !== node.id && (nodes.has(name) || params.has(name)) ? t('edit.rename.taken', { name }) : null;
  };
  const to = await askText({ title: t('edit.rename'), label: t('edit.rename.label'), value: node.id, check });
  if (to === null || to === node.id) return;
  const session = app.session.get();
  if (session.edit('edit.rename', (graph) => renameNode(graph, node.id, to))) session.selection.set(new Set([to]));
}

/** @param {App} app @param {string | undefined} colour */
function paint(app, colour) {
  const keys = selected(app);
  app.session.get().edit('edit.colour', (before) => {
    let graph = before;
    for (const key of keys) {
      const { kind, id } = readItem(key);
      const group = graph.groups.get(id);
      if (kind === 'node' && graph.nodes.has(id)) graph = placeNode(graph, id, { colour });
      else if (kind === 'group' && group) graph = setGroup(graph, id, { ...group, colour });
      else if (kind === 'note') graph = updateNote(graph, id, { colour });
    }
    return graph;
  });
}

/** @param {App} app */
function addArranging(app) {
  app.actions.add(
    { id: 'edit.group', label: 'edit.group', group: 'menu.node', keys: ['Ctrl+KeyG'], run: () => group(app), enabled: () => hasSelection(app) },
    { id: 'edit.note', label: 'edit.note', group: 'menu.edit', run: () => addNote(app) },
    ...ALIGNMENTS.map((how) => ({
      id: `edit.align.${how}`, label: `align.${how}`, group: 'menu.align', enabled: () => selected(app).size > 1,
      run: () => app.session.get().edit('edit.align', (graph) => align(graph, boxesOf(app, selected(app)), how)),
    })),
    { id: 'edit.layout', label: 'edit.layout', group: 'menu.align', keys: ['Ctrl+Shift+KeyL'], run: () => layout(app) },
  );
}

/** Put a frame around what is selected. @param {App} app */
function group(app) {
  const session = app.session.get();
  const box = around(boxesOf(app, [...selected(app)].filter((key) => !key.startsWith('point:'))).values());
  if (!box) return;
  const title = freeTitle(session.graph.get(), t('edit.group.title'));
  session.edit('edit.group', (graph) => setGroup(graph, title, {
    title, x: Math.round(box.x - GROUP_PAD), y: Math.round(box.y - GROUP_HEAD),
    width: Math.round(box.width + 2 * GROUP_PAD), height: Math.round(box.height + GROUP_HEAD + GROUP_PAD),
  }));
}

/** @param {App} app */
function addNote(app) {
  const session = app.session.get();
  const { x, y } = app.pointer ?? app.middle();
  const note = { text: t('edit.note.text'), x: Math.round(x), y: Math.round(y), width: 240, height: 120 };
  session.edit('edit.note', (graph) => setNotes(graph, [...graph.notes.values(), note]));
  session.selection.set(new Set([`note:${session.graph.get().notes.size - 1}`]));
}

/** Lay out what is selected, or everything. @param {App} app */
async function layout(app) {
  const session = app.session.get();
  const ids = selectedNodes(app).map((node) => node.id);
  const { arrange } = await import('./util/layout.js');
  const graph = session.graph.get();
  const arranged = await arrange(graph, app.catalogue.get(), ids.length > 1 ? ids : undefined);
  session.edit('edit.layout', (now) => (now === graph ? arranged : now));
}
