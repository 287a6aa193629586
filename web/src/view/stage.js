/**
 * The canvas: what of the file is seen, and the elements that show it. Nodes are on the page only while they are in view
 * (those that are selected, hold the focus or are dragged stay); one 2D canvas under them draws the rest.
 *
 * @module
 */

/** @import {App, Camera} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Point, Problem} from '../model/types.js' */
/** @import {Hit} from './hit.js' */
/** @import {Linking} from './linking.js' */
/** @import {Facts} from './node.js' */
/** @import {Palette} from './paint.js' */
/** @import {Line} from './scene.js' */
import { mountPointer } from '../input/pointer.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { addViewActions } from './actions.js';
import { overlap, shownBy, toCanvas } from './camera.js';
import { follow } from './follow.js';
import { Frames } from './frames.js';
import { hitAt } from './hit.js';
import { mountKeyboard } from './keyboard.js';
import { mountMinimap } from './minimap.js';
import { NodeView } from './node.js';
import { fadeAt, paint, readPalette } from './paint.js';
import { GRAPH, MAP, STATE, Scheduler, VIEW } from './scheduler.js';
import { Scene } from './scene.js';

const MOUNTS = 24;
const MOUNT_TIME = 5;
const REST = 120;
/** More nodes than this are not kept on the page, however many are in view. */
const MOST_MOUNTED = 140;
const MARGIN = 40;
/** @type {readonly Problem[]} */
const NO_PROBLEMS = [];

export class Stage {
  /**
   * @param {App} app
   * @param {HTMLElement} element
   */
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.scene = new Scene();
    this.canvas = h('canvas', { class: 'stage-canvas', 'aria-hidden': 'true' });
    this.context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext('2d'));
    this.groupLayer = h('div', { class: 'world' });
    this.world = h('div', { class: 'world' });
    this.nodeLayer = h('div', { class: 'nodes' });
    this.noteLayer = h('div', { class: 'notes' });
    this.band = h('div', { class: 'band', hidden: true });
    this.world.append(this.noteLayer, this.nodeLayer);
    element.append(this.groupLayer, this.canvas, this.world, this.band);
    this.frames = new Frames(this.groupLayer, this.noteLayer);
    /** @type {Map<string, NodeView>} */
    this.views = new Map();
    /** Nodes that stay on the page for another reason than being in view. @type {ReadonlySet<string>} */
    this.kept = new Set();
    /** @type {Linking | null} */
    this.linking = null;
    /** The link that is selected. @type {{node: string, input: string} | null} */
    this.marked = null;
    /** @type {Camera | null} */
    this.seenCamera = null;
    this.movedAt = 0;
    this.later = 0;
    /** How the layers lie. */
    this.transform = '';
    this.fade = 0;
    this.width = 0;
    this.height = 0;
    this.left = 0;
    this.top = 0;
    this.ratio = 1;
    /** @type {ReadonlyMap<string, readonly Problem[]>} */
    this.problems = new Map();
    /** @type {ReadonlySet<string>} */
    this.pictured = new Set();
    this.palette = /** @type {Palette} */ (readPalette(element));
    this.scheduler = new Scheduler((marks) => this.#frame(marks));
    /** Called after each frame with what was marked; the small map listens. @type {((marks: number) => void)[]} */
    this.afterFrame = [];
  }

  /** @returns {Session} */
  get session() {
    return this.app.session.get();
  }

  /** @returns {Camera} */
  get camera() {
    return this.app.camera.get();
  }

  /** @returns {'curved' | 'straight' | 'hidden'} */
  get form() {
    return this.app.settings.get().links;
  }

  /** The point of the canvas under a point of the window. @param {{clientX: number, clientY: number}} at @returns {Point} */
  toCanvas({ clientX, clientY }) {
    return toCanvas(this.camera, clientX - this.left, clientY - this.top);
  }

  /** The point of the window over a point of the canvas. @param {Point} point */
  toClient({ x, y }) {
    const { camera } = this;
    return { clientX: (x - camera.x) * camera.scale + this.left, clientY: (y - camera.y) * camera.scale + this.top };
  }

  /**
   * What lies under a point of the window.
   * @param {{clientX: number, clientY: number}} at
   * @param {boolean} [coarse] for a finger
   * @returns {Hit}
   */
  hit(at, coarse = false) {
    return hitAt(this.scene, this.toCanvas(at), { slack: (coarse ? 16 : 7) / this.camera.scale, form: this.form });
  }

  /** The scene as the graph is now, for those who cannot wait for the frame. */
  catchUp() {
    this.scene.update(this.session.graph.get(), this.app.catalogue.get(), this.pictured);
    return this.scene;
  }

  /** @param {Linking | null} linking */
  setLinking(linking) {
    this.linking = linking;
    this.element.classList.toggle('linking', linking !== null);
    this.scheduler.mark(STATE | VIEW);
  }

  /** Select a link, and nothing else. @param {{node: string, input: string} | null} link */
  mark(link) {
    if (link === this.marked) return;
    this.marked = link;
    if (link) this.session.selection.set(new Set());
    this.scheduler.mark(VIEW);
  }

  /** @param {Iterable<string>} ids */
  keep(ids) {
    this.kept = new Set(ids);
    this.scheduler.mark(VIEW);
  }

  /** Say something to those who cannot see it. @param {string} text */
  say(text) {
    this.app.announce(text);
  }

  /** Have a node on the page now, whether it is in view or not. @param {string} id @returns {NodeView | null} */
  ensure(id) {
    this.scheduler.run();
    const known = this.views.get(id);
    if (known) return known;
    if (!this.scene.boxes.has(id)) return null;
    // Until the next one: the focus keeps it after that.
    this.keep([id]);
    this.scheduler.run();
    return this.views.get(id) ?? null;
  }

  /** Take all nodes off the page, as when another file is shown. */
  clear() {
    for (const view of this.views.values()) view.destroy();
    this.views.clear();
    this.kept = new Set();
    this.linking = null;
    this.marked = null;
    this.scheduler.mark(GRAPH);
  }

  /** The size of the stage has changed. */
  measure() {
    const { left, top, width, height } = this.element.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    Object.assign(this, { left, top });
    if (width !== this.width || height !== this.height || ratio !== this.ratio) {
      Object.assign(this, { width, height, ratio });
      this.canvas.width = Math.max(1, Math.round(width * ratio));
      this.canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.scheduler.mark(VIEW | MAP);
  }

  /** @param {number} marks */
  #frame(marks) {
    let todo = marks;
    if (todo & GRAPH) {
      this.catchUp();
      todo |= STATE | VIEW | MAP;
    }
    const mounted = todo & VIEW ? this.#look() : false;
    if (todo & STATE || mounted) this.#tell();
    if (todo & (VIEW | STATE)) this.#paint();
    for (const listener of this.afterFrame) listener(todo);
  }

  /** Place the layers, and have the nodes on the page that are seen; answers whether some are new. */
  #look() {
    const { x, y, scale } = this.camera;
    const [left, top] = [Math.round(-x * scale * this.ratio) / this.ratio, Math.round(-y * scale * this.ratio) / this.ratio];
    const transform = `translate(${left}px, ${top}px) scale(${scale})`;
    if (transform !== this.transform) {
      this.transform = transform;
      this.world.style.transform = transform;
      this.groupLayer.style.transform = transform;
    }
    const fade = fadeAt(scale);
    if (fade !== this.fade) {
      this.fade = fade;
      this.nodeLayer.style.opacity = String(1 - fade);
      this.nodeLayer.style.visibility = fade === 1 ? 'hidden' : '';
      this.nodeLayer.classList.toggle('far', fade > 0);
    }
    return this.#mount(fade);
  }

  /** @param {number} fade */
  #mount(fade) {
    const { scene, views } = this;
    const view = shownBy(this.camera, this, MARGIN);
    const stays = this.#staying();
    const wanted = [];
    for (const box of scene.boxes.values()) {
      if (stays.has(box.id) || (fade < 1 && overlap(box, view))) wanted.push(box);
    }
    this.#unmount(new Set(wanted.map(({ id }) => id)), fade);
    const began = performance.now();
    // From afar boxes do while the canvas moves; the nodes come when it rests.
    const most = fade > 0 && this.#moves(began) ? 0 : MOUNTS;
    let made = 0;
    let waiting = 0;
    for (const box of wanted) {
      if (views.has(box.id)) continue;
      const must = stays.has(box.id);
      if (!must && (views.size >= MOST_MOUNTED)) continue;
      if (!must && (made >= most || (made > 0 && performance.now() - began > MOUNT_TIME))) {
        waiting += 1;
        continue;
      }
      const node = new NodeView({ app: this.app, session: this.session }, box);
      node.update(box, this.#facts(box.id));
      views.set(box.id, node);
      this.nodeLayer.append(node.element);
      made += 1;
    }
    if (waiting && most > 0) this.scheduler.mark(VIEW);
    else if (waiting) this.#lookLater();
    return made > 0;
  }

  /** Whether the camera has moved in the last moment. @param {number} now */
  #moves(now) {
    if (this.camera !== this.seenCamera) {
      this.seenCamera = this.camera;
      this.movedAt = now;
    }
    return now - this.movedAt < REST;
  }

  #lookLater() {
    clearTimeout(this.later);
    this.later = window.setTimeout(() => this.scheduler.mark(VIEW), REST);
  }

  /**
   * Take nodes off the page that are out of view, unless there are few and they may be back soon.
   * @param {ReadonlySet<string>} wanted
   * @param {number} fade
   */
  #unmount(wanted, fade) {
    const near = shownBy(this.camera, this, 3 * MARGIN);
    for (const [id, view] of this.views) {
      if (wanted.has(id)) continue;
      const box = this.scene.boxes.get(id);
      if (box && fade < 1 && this.views.size < MOST_MOUNTED / 3 && overlap(box, near)) continue;
      view.destroy();
      this.views.delete(id);
    }
  }

  /** Nodes that stay on the page though they are out of view. @returns {Set<string>} */
  #staying() {
    const stays = new Set(this.kept);
    const selection = this.session.selection.get();
    // A selection of everything would put everything on the page.
    if (selection.size <= 20) for (const key of selection) stays.add(key);
    const focused = document.activeElement?.closest('.node');
    if (focused instanceof HTMLElement && focused.dataset.id !== undefined && this.element.contains(focused)) stays.add(focused.dataset.id);
    return stays;
  }

  #tell() {
    for (const [id, view] of this.views) {
      const box = this.scene.boxes.get(id);
      if (box) view.update(box, this.#facts(id));
    }
    this.frames.update(this.session.graph.get(), this.session.selection.get());
  }

  /** @param {string} id @returns {Facts} */
  #facts(id) {
    const { app, session } = this;
    return {
      graph: session.graph.get(), run: app.run.get().nodes.get(id), plan: app.plan.get().get(id),
      problems: this.problems.get(id) ?? NO_PROBLEMS, selected: session.selection.get().has(id),
      linking: this.linking, target: this.linking?.target ?? null,
    };
  }

  /** The line of the selected link, if it is there. @returns {Line | null} */
  markedLine() {
    const { marked } = this;
    return marked ? this.scene.boxes.get(marked.node)?.links.find(({ input }) => input === marked.input) ?? null : null;
  }

  #paint() {
    paint(this.context, {
      scene: this.scene, camera: this.camera, width: this.width, height: this.height, ratio: this.ratio,
      palette: this.palette, form: this.form, linking: this.linking, marked: this.markedLine(),
      selection: this.session.selection.get(), run: this.app.run.get(), fade: this.fade,
      isMounted: (id) => this.views.has(id),
    });
  }
}

/**
 * Show the file on the canvas.
 * @param {App} app
 * @param {HTMLElement} element
 */
export function mountStage(app, element) {
  element.tabIndex = 0;
  element.setAttribute('role', 'region');
  element.setAttribute('aria-label', t('view.canvas'));
  const stage = new Stage(app, element);
  app.middle = () => toCanvas(stage.camera, stage.width / 2, stage.height / 2);
  follow(stage);
  addViewActions(stage);
  mountPointer(stage);
  mountKeyboard(stage);
  mountMinimap(stage);
  stage.measure();
  stage.scheduler.mark(GRAPH);
}
