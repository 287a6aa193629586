/**
 * Moving and sizing what lies on the canvas, points of links, and selecting with a frame.
 *
 * @module
 */

/** @import {Graph, Point} from '../model/types.js' */
/** @import {CornerHit, LinkHit, PointHit} from '../view/hit.js' */
/** @import {Stage} from '../view/stage.js' */
/** @import {Gesture} from './pointer.js' */
import { moveItems, placeNode, readItem, setGroup, setPoints, updateNote } from '../model/graph.js';
import { overlap } from '../view/camera.js';
import { GRID, HEADER, MIN_WIDTH, ROW } from '../view/geometry.js';
import { inside } from '../view/hit.js';
import { panGesture } from './pointer_camera.js';
import { createEdges } from './pointer_edges.js';

let lastDrag = 0;

/** A name for the edits of one drag, which are one step of undo. */
function dragName() {
  lastDrag += 1;
  return `drag-${lastDrag}`;
}

/**
 * Press on a node, a note or the title of a group: a click selects, a drag moves.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {string} key
 * @returns {Gesture}
 */
export function pressGesture(stage, start, key) {
  const { selection } = stage.session;
  const adds = start.shiftKey || start.ctrlKey || start.metaKey;
  const was = selection.get().has(key);
  stage.mark(null);
  stage.scene.raise(key);
  if (!was) selection.set(new Set(adds ? [...selection.get(), key] : [key]));
  /** @type {ReturnType<typeof moving> | null} */
  let move = null;
  return {
    cursor: 'move',
    move(event) {
      if (!move) {
        if (start.altKey) stage.app.actions.run('edit.duplicate');
        move = moving(stage, start, start.altKey ? [...selection.get()][0] ?? key : key);
      }
      move.to(event);
    },
    end(_event, moved) {
      move?.end();
      if (moved) return;
      if (was && adds) selection.set(new Set([...selection.get()].filter((each) => each !== key)));
      else if (was) selection.set(new Set([key]));
    },
    cancel: () => move?.cancel(),
  };
}

/**
 * Move the selected items along with the one that is held.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {string} held
 */
function moving(stage, start, held) {
  const { session } = stage;
  const graph = session.graph.get();
  const items = withMembers(stage, graph, session.selection.get());
  const nodes = [...items].filter((key) => readItem(key).kind === 'node');
  const from = stage.toCanvas(start);
  const corner = cornerOf(graph, held);
  const merge = dragName();
  const release = session.hold();
  stage.keep(nodes.length <= 40 ? nodes : [held]);
  const edges = createEdges(stage, (event) => to(event));
  const to = (/** @type {PointerEvent} */ event) => {
    const at = stage.toCanvas(event);
    const [dx, dy] = snapped(stage, event, corner, at.x - from.x, at.y - from.y);
    session.edit('edit.move', () => moveItems(graph, items, dx, dy), { merge });
    edges.follow(event);
  };
  const end = () => {
    edges.stop();
    stage.keep([]);
    release();
  };
  const cancel = () => {
    session.edit('edit.move', () => graph, { merge });
    end();
  };
  return { to, end, cancel };
}

/**
 * @param {Stage} stage
 * @param {PointerEvent} event
 * @param {Point} corner
 * @param {number} dx
 * @param {number} dy
 */
function snapped(stage, event, corner, dx, dy) {
  if (event.shiftKey === stage.app.settings.get().snap) return [dx, dy];
  return [snap(corner.x + dx) - corner.x, snap(corner.y + dy) - corner.y];
}

/** @param {number} value */
function snap(value) {
  return Math.round(value / GRID) * GRID;
}

/**
 * @param {Graph} graph
 * @param {string} key
 * @returns {Point}
 */
function cornerOf(graph, key) {
  const { kind, id, index } = readItem(key);
  if (kind === 'group') return graph.groups.get(id) ?? { x: 0, y: 0 };
  if (kind === 'note') return graph.notes.get(id) ?? { x: 0, y: 0 };
  if (kind === 'point') return graph.points.get(id)?.[index] ?? { x: 0, y: 0 };
  return graph.places.get(id) ?? { x: 0, y: 0 };
}

/**
 * Items with what lies in the groups among them, and with the points of links whose both ends move.
 * @param {Stage} stage
 * @param {Graph} graph
 * @param {ReadonlySet<string>} keys
 * @returns {Set<string>}
 */
function withMembers(stage, graph, keys) {
  const { scene } = stage;
  const items = new Set(keys);
  const middle = (/** @type {{x: number, y: number, width: number, height: number}} */ box) => ({ x: box.x + box.width / 2, y: box.y + box.height / 2 });
  for (const key of items) {
    const group = key.startsWith('group:') ? graph.groups.get(key.slice(6)) : undefined;
    if (!group) continue;
    for (const box of scene.boxes.values()) if (inside(middle(box), group, 0)) items.add(box.id);
    for (const note of graph.notes.values()) if (inside(middle(note), group, 0)) items.add(note.id);
    for (const other of graph.groups.values()) if (other !== group && holds(group, other)) items.add(`group:${other.title}`);
  }
  for (const line of scene.links) {
    if (!items.has(line.from.id) || !items.has(line.to.id)) continue;
    line.points.forEach((_, index) => items.add(`point:${line.to.id}.${line.input}:${index}`));
  }
  return items;
}

/**
 * Whether a group lies in another.
 * @param {{x: number, y: number, width: number, height: number}} outer
 * @param {{x: number, y: number, width: number, height: number}} inner
 */
function holds(outer, inner) {
  return inside({ x: inner.x, y: inner.y }, outer, 0) && inside({ x: inner.x + inner.width, y: inner.y + inner.height }, outer, 0);
}

/**
 * Size a node, a note or a group at its lower right corner.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {CornerHit} hit
 * @returns {Gesture}
 */
export function cornerGesture(stage, start, hit) {
  const { session } = stage;
  const graph = session.graph.get();
  const from = stage.toCanvas(start);
  const merge = dragName();
  const item = 'box' in hit ? hit.box : 'note' in hit ? hit.note : hit.group;
  const { x, y, width, height } = item;
  const key = 'box' in hit ? hit.box.id : 'note' in hit ? hit.note.id : `group:${hit.group.title}`;
  if (!session.selection.get().has(key)) session.selection.set(new Set([key]));
  /** @type {(() => void) | null} */
  let release = null;
  return {
    cursor: 'nwse-resize',
    move(event) {
      release ??= session.hold();
      const at = stage.toCanvas(event);
      const snaps = event.shiftKey !== stage.app.settings.get().snap;
      const to = (/** @type {number} */ edge) => (snaps ? snap(edge) : Math.round(edge));
      const size = { width: Math.max(MIN_WIDTH, to(x + width + at.x - from.x) - x), height: Math.max(HEADER + ROW, to(y + height + at.y - from.y) - y) };
      session.edit('edit.size', () => sized(graph, hit, size), { merge });
    },
    end: () => release?.(),
    cancel() {
      if (release) session.edit('edit.size', () => graph, { merge });
      release?.();
    },
  };
}

/**
 * @param {Graph} graph
 * @param {CornerHit} hit
 * @param {{width: number, height: number}} size
 * @returns {Graph}
 */
function sized(graph, hit, size) {
  if ('box' in hit) return placeNode(graph, hit.box.id, size);
  if ('note' in hit) return updateNote(graph, hit.note.id, size);
  return setGroup(graph, hit.group.title, { ...hit.group, ...size });
}

/**
 * Press on a link: a click selects it, a middle or Ctrl+click makes a point, and points can be dragged. A plain drag that
 * happens to begin on a link moves the canvas.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @param {LinkHit | PointHit} hit
 * @returns {Gesture}
 */
export function linkPointGesture(stage, start, hit) {
  const { session } = stage;
  const { line } = hit;
  const [node, input] = [line.to.id, line.input];
  const adds = start.button === 1 || start.ctrlKey || start.metaKey;
  if (hit.kind === 'link' && !adds) return { ...panGesture(stage, start), end: (_event, moved) => moved || stage.mark({ node, input }) };
  /** @type {ReturnType<typeof moving> | null} */
  let move = null;
  const grab = () => {
    if (hit.kind === 'link') addPoint(stage, hit, stage.toCanvas(start));
    const index = hit.kind === 'link' ? hit.after : hit.index;
    const key = `point:${node}.${input}:${index}`;
    if (!session.selection.get().has(key)) session.selection.set(new Set([key]));
    return moving(stage, start, key);
  };
  return {
    cursor: 'move',
    move(event) {
      move ??= grab();
      move.to(event);
    },
    end(_event, moved) {
      move?.end();
      if (moved) return;
      if (hit.kind === 'link') addPoint(stage, hit, stage.toCanvas(start));
      else session.selection.set(new Set([`point:${node}.${input}:${hit.index}`]));
    },
    cancel: () => move?.cancel(),
  };
}

/**
 * @param {Stage} stage
 * @param {LinkHit} hit
 * @param {Point} at
 */
export function addPoint(stage, { line, after }, at) {
  const points = [...line.points];
  points.splice(after, 0, { x: Math.round(at.x), y: Math.round(at.y) });
  stage.session.edit('edit.point', (graph) => setPoints(graph, line.to.id, line.input, points));
}

/**
 * @param {Stage} stage
 * @param {import('../view/scene.js').Line} line
 * @param {number} index
 */
export function removePoint(stage, { to, input, points }, index) {
  stage.session.edit('edit.point', (graph) => setPoints(graph, to.id, input, points.filter((_, i) => i !== index)));
}

/**
 * Select with a frame: what it touches, instead of what was selected, with Shift besides it, with Alt taken from it.
 * @param {Stage} stage
 * @param {PointerEvent} start
 * @returns {Gesture}
 */
export function bandGesture(stage, start) {
  const { selection } = stage.session;
  const before = selection.get();
  const from = stage.toCanvas(start);
  const { band } = stage;
  stage.mark(null);
  return {
    cursor: 'crosshair',
    move(event) {
      const at = stage.toCanvas(event);
      const box = { x: Math.min(at.x, from.x), y: Math.min(at.y, from.y), width: Math.abs(at.x - from.x), height: Math.abs(at.y - from.y) };
      showBand(stage, box);
      selection.set(chosen(before, touched(stage, box), event));
    },
    end(event, moved) {
      band.hidden = true;
      if (!moved && !event.shiftKey && !event.altKey && !event.ctrlKey && !event.metaKey) selection.set(new Set());
    },
    cancel() {
      band.hidden = true;
      selection.set(before);
    },
  };
}

/**
 * @param {Stage} stage
 * @param {import('../view/camera.js').Box} box
 */
function showBand({ band, camera }, box) {
  band.hidden = false;
  band.style.transform = `translate(${(box.x - camera.x) * camera.scale}px, ${(box.y - camera.y) * camera.scale}px)`;
  band.style.width = `${box.width * camera.scale}px`;
  band.style.height = `${box.height * camera.scale}px`;
}

/**
 * @param {Stage} stage
 * @param {import('../view/camera.js').Box} box
 */
function touched({ scene }, box) {
  const { groups, notes, points } = scene.graph;
  const keys = [...scene.boxes.values()].filter((each) => overlap(each, box)).map(({ id }) => id);
  keys.push(...[...notes.values()].filter((note) => overlap(note, box)).map(({ id }) => id));
  keys.push(...[...groups.values()].filter((group) => holds(box, group)).map(({ title }) => `group:${title}`));
  for (const [link, all] of points) all.forEach((point, index) => inside(point, box, 0) && keys.push(`point:${link}:${index}`));
  return keys;
}

/**
 * @param {ReadonlySet<string>} before
 * @param {readonly string[]} keys
 * @param {PointerEvent} event
 * @returns {ReadonlySet<string>}
 */
function chosen(before, keys, event) {
  if (event.altKey) return new Set([...before].filter((key) => !keys.includes(key)));
  return new Set(event.shiftKey ? [...before, ...keys] : keys);
}
