/**
 * The context menus of the canvas, and the menu of the sockets that a link can go to.
 *
 * @module
 */

/** @import {Point} from '../model/types.js' */
/** @import {Hit} from './hit.js' */
/** @import {Linking, Socket} from './linking.js' */
/** @import {Line} from './scene.js' */
/** @import {Stage} from './stage.js' */
/** @import {MenuItem} from '../util/popup.js' */
import { shownKeys } from '../input/keys.js';
import { addPoint, removePoint } from '../input/pointer_items.js';
import { nameOf, searchAt } from '../input/pointer_links.js';
import { readItem, setGroup, setInput, setNotes } from '../model/graph.js';
import { paramOf } from '../model/params.js';
import { escaped, refOf } from '../model/values.js';
import { t } from '../util/i18n.js';
import { openMenu as openMenuAt } from '../util/popup.js';
import { paintOf } from './colours.js';
import { beginLink, fittingSockets, inputOf, joining } from './linking.js';
import { renameInPlace } from './rename.js';

/** @typedef {{clientX: number, clientY: number}} At */

const CANVAS = ['edit.paste', 'edit.pasteLinked', 'edit.selectAll', '', 'edit.note', 'edit.layout', 'view.fit', 'view.links', 'view.minimap', '', 'edit.undo', 'edit.redo', '', 'run.queue'];
const NODE = ['edit.mute', 'edit.bypass', 'edit.collapse', 'edit.pin', '', 'edit.copy', 'edit.cut', 'edit.duplicate', 'edit.group', '', 'edit.align.left', 'edit.align.top', 'edit.layout', 'view.fit', '', 'edit.delete'];
const OTHER = ['edit.copy', 'edit.duplicate', 'view.fit'];

/**
 * @param {Stage} stage
 * @param {At} at
 * @param {Hit} hit
 */
export function openMenu(stage, at, hit) {
  stage.mark(null);
  switch (hit.kind) {
    case 'link': return show(stage, at, 'view.menu.link', linkItems(stage, at, hit.line, hit.after));
    case 'point': return show(stage, at, 'view.menu.link', pointItems(stage, hit.line, hit.index));
    case 'empty': return show(stage, at, 'view.menu.canvas', [
      { label: t('view.addNode'), run: () => searchAt(stage, at) }, null, ...actionItems(stage, CANVAS),
    ]);
    case 'group': case 'groupCorner': return itemMenu(stage, at, `group:${hit.group.title}`, () => removeGroup(stage, hit.group.title));
    case 'note': case 'noteCorner': return itemMenu(stage, at, hit.note.id, () => removeNote(stage, hit.note.id));
    default: {
      const { box } = hit;
      choose(stage, box.id);
      const input = hit.kind === 'input' ? hit.input : rowInput(stage, at, box.id);
      const own = input === undefined ? [] : inputItems(stage, at, box.id, input);
      return show(stage, at, 'view.menu.node', [
        ...own, null, { label: t('view.rename'), run: () => renameInPlace(stage, box.id) }, ...actionItems(stage, ['edit.rename']),
        { label: t('view.colour'), run: () => openColours(stage, at) }, ...actionItems(stage, NODE),
      ]);
    }
  }
}

/**
 * @param {Stage} stage
 * @param {At} at
 * @param {string} label
 * @param {readonly (MenuItem | null)[]} items
 */
function show(stage, { clientX, clientY }, label, items) {
  openMenuAt(stage.element, items, { x: clientX, y: clientY, label: t(label) });
}

/** Select an item for the menu about it, unless it is among the selected. @param {Stage} stage @param {string} key */
function choose({ session: { selection } }, key) {
  if (!selection.get().has(key)) selection.set(new Set([key]));
}

/**
 * @param {Stage} stage
 * @param {At} at
 * @param {string} key
 * @param {() => void} remove
 */
function itemMenu(stage, at, key, remove) {
  choose(stage, key);
  const isGroup = readItem(key).kind === 'group';
  return show(stage, at, isGroup ? 'view.menu.group' : 'view.menu.note', [
    { label: t(isGroup ? 'view.rename' : 'view.editNote'), run: () => renameInPlace(stage, key) },
    { label: t('view.colour'), run: () => openColours(stage, at) }, ...actionItems(stage, OTHER), null,
    { label: t(isGroup ? 'view.removeGroup' : 'view.removeNote'), run: remove },
  ]);
}

/**
 * @param {Stage} stage
 * @param {At} at
 */
function openColours(stage, at) {
  const ids = [...stage.app.actions.all.keys()].filter((id) => id.startsWith('edit.colour.'));
  const items = ids.flatMap((id) => actionItems(stage, [id]).map((item) => item && { ...item, colour: paintOf(id.slice('edit.colour.'.length)) }));
  show(stage, at, 'menu.colour', items);
}

/** @param {Stage} stage @param {string} title */
function removeGroup(stage, title) {
  stage.session.edit('edit.delete', (graph) => setGroup(graph, title, undefined));
}

/** @param {Stage} stage @param {string} id */
function removeNote(stage, id) {
  stage.session.edit('edit.delete', (graph) => setNotes(graph, [...graph.notes.values()].filter((note) => note.id !== id)));
}

/**
 * Actions that there are, as items.
 * @param {Stage} stage
 * @param {readonly string[]} ids '' is a line
 * @returns {(MenuItem | null)[]}
 */
function actionItems({ app }, ids) {
  return ids.flatMap((id) => {
    if (id === '') return [null];
    const action = app.actions.all.get(id);
    if (!action) return [];
    return [{
      label: t(action.label), run: () => app.actions.run(id), disabled: action.enabled?.() === false,
      ...(action.keys?.[0] ? { keys: shownKeys(action.keys[0]) } : {}), ...(action.checked ? { checked: action.checked() } : {}),
    }];
  });
}

/**
 * @param {Stage} stage
 * @param {At} at
 * @param {Line} line
 * @param {number} after
 * @returns {MenuItem[]}
 */
function linkItems(stage, at, line, after) {
  return [
    { label: t('view.addPoint'), run: () => addPoint(stage, { kind: 'link', line, after }, stage.toCanvas(at)) },
    { label: t('view.goTo', { name: line.from.id }), run: () => focus(stage, line.from.id) },
    { label: t('view.goTo', { name: line.to.id }), run: () => focus(stage, line.to.id) },
    { label: t('view.removeLink'), run: () => removeLink(stage, line.to.id, line.input) },
  ];
}

/**
 * @param {Stage} stage
 * @param {Line} line
 * @param {number} index
 * @returns {MenuItem[]}
 */
function pointItems(stage, line, index) {
  return [
    { label: t('view.removePoint'), run: () => removePoint(stage, line, index) },
    { label: t('view.removeLink'), run: () => removeLink(stage, line.to.id, line.input) },
  ];
}

/** @param {Stage} stage @param {string} id */
function focus(stage, id) {
  stage.app.actions.run('view.focus', new CustomEvent('focus', { detail: { id } }));
}

/**
 * @param {Stage} stage
 * @param {string} node
 * @param {string} input
 */
export function removeLink(stage, node, input) {
  stage.mark(null);
  if (stage.session.edit('edit.disconnect', (graph) => setInput(graph, node, input, undefined))) {
    stage.say(t('view.disconnected', { name: `${node}.${input}` }));
  }
}

/**
 * The input whose row lies at a place.
 * @param {Stage} stage
 * @param {At} at
 * @param {string} id
 */
function rowInput(stage, at, id) {
  const box = stage.scene.boxes.get(id);
  const { x, y } = stage.toCanvas(at);
  const row = box?.layout.rows.find((each) => y - box.y >= each.y && y - box.y < each.y + each.height);
  if (!box || !row?.input || (row.output !== null && x > box.x + box.width / 2)) return undefined;
  return row.input.name;
}

/**
 * What can be done with an input.
 * @param {Stage} stage
 * @param {At} at
 * @param {string} id
 * @param {string} name
 * @returns {MenuItem[]}
 */
function inputItems(stage, at, id, name) {
  const box = stage.scene.boxes.get(id);
  const input = box && inputOf(box, name);
  if (!box || !input) return [];
  const { session } = stage;
  const graph = session.graph.get();
  const value = box.node.inputs.get(name);
  const ref = refOf(value);
  /** @type {MenuItem[]} */
  const items = [{ label: t('view.connectTo', { name }), run: () => openSockets(stage, at, { side: 'input', node: id, input: name }) }];
  if (ref && graph.nodes.has(ref.name)) items.push({ label: t('view.removeLink'), run: () => removeLink(stage, id, name) });
  else if (ref) {
    const own = escaped(paramOf(graph, value)?.value);
    items.push({ label: t('view.ownValue', { name }), run: () => session.edit('widget.edit.detach', (now) => setInput(now, id, name, own)) });
  }
  return items;
}

/**
 * The menu of all sockets that a link from one could go to.
 * @param {Stage} stage
 * @param {At} at
 * @param {Socket} socket
 */
export function openSockets(stage, at, socket) {
  const scene = stage.catchUp();
  const linking = beginLink(scene, socket, { x: 0, y: 0 }, { lift: false });
  if (!linking) return;
  const near = [...scene.boxes.values()].sort((a, b) => distance(a, linking.from) - distance(b, linking.from));
  const sockets = near.flatMap((box) => fittingSockets(linking, box)).slice(0, 60);
  /** @type {MenuItem[]} */
  const items = sockets.map((target) => ({ label: nameOf(stage, target), run: () => join(stage, linking, target) }));
  const box = scene.boxes.get(socket.node);
  if (socket.side === 'input' && box && refOf(box.node.inputs.get(socket.input))) {
    items.unshift({ label: t('view.removeLink'), run: () => removeLink(stage, socket.node, socket.input) });
  }
  if (items.length) show(stage, at, 'view.menu.sockets', items);
  else stage.say(t('view.noneFit', { type: linking.type }));
}

/**
 * @param {{x: number, y: number}} box
 * @param {Point} from
 */
function distance(box, from) {
  return Math.hypot(box.x - from.x, box.y - from.y);
}

/**
 * @param {Stage} stage
 * @param {Linking} linking
 * @param {Socket} target
 */
function join(stage, linking, target) {
  const change = joining(stage.scene, linking.origin, target);
  if (change && stage.session.edit('edit.connect', change)) {
    stage.say(t('view.connected', { from: nameOf(stage, linking.origin), to: nameOf(stage, target) }));
  }
}
