/**
 * What the canvas offers to keys, menus and other rooms.
 *
 * @module
 */

/** @import {Settings} from '../app.js' */
/** @import {Stage} from './stage.js' */
import { placeNode } from '../model/graph.js';
import { centre, fit, zoomAt } from './camera.js';
import { around } from './geometry.js';
import { renameInPlace } from './rename.js';

/** @param {Stage} stage */
export function addViewActions(stage) {
  const { app } = stage;
  const group = 'menu.view';
  app.actions.add(
    { id: 'view.fit', label: 'view.fit', group, keys: ['Period'], run: () => fitView(stage) },
    { id: 'view.zoomIn', label: 'view.zoomIn', group, keys: ['Alt+Equal', 'Alt+NumpadAdd'], run: () => zoomBy(stage, 1.25) },
    { id: 'view.zoomOut', label: 'view.zoomOut', group, keys: ['Alt+Minus', 'Alt+NumpadSubtract'], run: () => zoomBy(stage, 1 / 1.25) },
    { id: 'view.minimap', label: 'view.minimap', group, keys: ['Alt+KeyM'], checked: () => app.settings.get().minimap, run: () => app.set({ minimap: !app.settings.get().minimap }) },
    { id: 'view.links', label: 'view.links', group, run: () => app.set({ links: nextLinks(app.settings.get().links) }) },
    { id: 'view.mode.hand', label: 'view.mode.hand', group, keys: ['KeyH'], checked: () => app.settings.get().drag === 'pan', run: () => app.set({ drag: 'pan' }) },
    { id: 'view.mode.select', label: 'view.mode.select', group, keys: ['KeyV'], checked: () => app.settings.get().drag === 'select', run: () => app.set({ drag: 'select' }) },
    { id: 'view.focus', label: 'view.focus', group: '', run: (event) => focusNode(stage, String(detailOf(event).id ?? ''), detailOf(event)) },
    { id: 'view.fold', label: 'view.fold', group: '', run: (event) => fold(stage, String(detailOf(event).id ?? '')) },
    { id: 'view.rename', label: 'view.rename', group: '', run: (event) => renameInPlace(stage, String(detailOf(event).key ?? [...stage.session.selection.get()][0] ?? '')) },
  );
}

/** @param {Event | undefined} event @returns {Record<string, unknown>} */
function detailOf(event) {
  return event instanceof CustomEvent && typeof event.detail === 'object' && event.detail ? event.detail : {};
}

/** @param {Settings['links']} links @returns {Settings['links']} */
function nextLinks(links) {
  return links === 'curved' ? 'straight' : links === 'straight' ? 'hidden' : 'curved';
}

/**
 * @param {Stage} stage
 * @param {number} factor
 */
function zoomBy(stage, factor) {
  stage.app.camera.update((camera) => zoomAt(camera, camera.scale * factor, stage.width / 2, stage.height / 2));
}

/** Show the selected nodes, or all. @param {Stage} stage */
function fitView(stage) {
  const scene = stage.catchUp();
  const { groups, notes } = stage.session.graph.get();
  const selection = stage.session.selection.get();
  const chosen = [
    ...[...scene.boxes.values()].filter(({ id }) => selection.has(id)),
    ...[...groups.values()].filter(({ title }) => selection.has(`group:${title}`)),
    ...[...notes.values()].filter(({ id }) => selection.has(id)),
  ];
  const box = around(chosen.length ? chosen : [...scene.boxes.values(), ...groups.values(), ...notes.values()]);
  stage.app.camera.set(box ? fit(box, stage, chosen.length ? 1.5 : 1) : { x: 0, y: 0, scale: 1 });
}

/**
 * Bring a node to the middle, near enough to be read, select it and give it the focus.
 * @param {Stage} stage
 * @param {string} id
 * @param {{input?: unknown, still?: unknown}} [at] an input of it, whose field gets the focus; still: true moves nothing
 */
function focusNode(stage, id, { input, still } = {}) {
  const box = stage.catchUp().boxes.get(id);
  if (!box) return;
  const scale = Math.max(0.7, stage.camera.scale);
  if (still !== true) stage.app.camera.set(centre({ x: box.x + box.width / 2, y: box.y + box.height / 2 }, stage, scale));
  stage.session.selection.set(new Set([id]));
  stage.scene.raise(id);
  const view = stage.ensure(id);
  const row = view && typeof input === 'string' ? [...view.rowViews.values()].find((each) => each.input?.name === input) : null;
  const field = row?.body.querySelector('input, select, textarea, button');
  (field instanceof HTMLElement ? field : view?.element)?.focus({ preventScroll: true });
}

/**
 * Fold a node to its header, or unfold it.
 * @param {Stage} stage
 * @param {string} id
 */
function fold(stage, id) {
  const collapsed = stage.session.graph.get().places.get(id)?.collapsed === true;
  stage.session.edit('edit.collapse', (graph) => placeNode(graph, id, { collapsed: collapsed ? undefined : true }));
}
