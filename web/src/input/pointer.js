/**
 * Pointers on the canvas: mouse, pen and fingers. What lies under the pointer when it goes down decides which gesture
 * begins; the gesture gets what follows, until the pointer goes up or Escape is pressed.
 *
 * @module
 */

/** @import {Hit} from '../view/hit.js' */
/** @import {Stage} from '../view/stage.js' */
import { openMenu } from '../view/menus.js';
import { renameInPlace } from '../view/rename.js';
import { mountDrop } from './pointer_drop.js';
import { bandGesture, cornerGesture, linkPointGesture, pressGesture, removePoint } from './pointer_items.js';
import { linkGesture, searchAt } from './pointer_links.js';
import { panGesture, pinchGesture, onWheel, zoomGesture } from './pointer_camera.js';

/**
 * What a pointer that is down does. `moved` is whether it has gone far enough to be no click.
 * @typedef {{
 *   move?: (event: PointerEvent) => void, end?: (event: PointerEvent, moved: boolean) => void, cancel?: () => void,
 *   cursor?: string,
 * }} Gesture
 */

const LONG_PRESS = 550;
const FAR = { mouse: 4, pen: 6, touch: 9 };
/** Elements that do something by themselves when they are pressed. */
const OWN = 'input, textarea, select, a, button:not(.socket), [contenteditable], .widget-control, .node-trouble';

/** @param {Element} target */
function isOwn(target) {
  return target.closest(OWN) !== null;
}

/** @param {Stage} stage */
export function mountPointer(stage) {
  new Pointer(stage);
  mountDrop(stage);
}

class Pointer {
  /** @param {Stage} stage */
  constructor(stage) {
    this.stage = stage;
    /** @type {Map<number, PointerEvent>} */
    this.down = new Map();
    /** @type {Gesture | null} */
    this.gesture = null;
    /** @type {PointerEvent | null} */
    this.first = null;
    this.moved = false;
    this.space = false;
    this.press = 0;
    const { element } = stage;
    // First of all: widgets keep presses to themselves, but not from a hand that moves the canvas.
    element.addEventListener('pointerdown', (event) => this.#down(event), true);
    element.addEventListener('pointermove', (event) => this.#move(event));
    element.addEventListener('pointerup', (event) => this.#up(event));
    element.addEventListener('pointercancel', (event) => this.#cancel(event.pointerId));
    element.addEventListener('lostpointercapture', (event) => this.down.has(event.pointerId) && this.#cancel(event.pointerId));
    element.addEventListener('pointerleave', () => void (stage.app.pointer = null));
    element.addEventListener('dblclick', (event) => this.#double(event));
    element.addEventListener('contextmenu', (event) => this.#menu(event));
    element.addEventListener('wheel', (event) => onWheel(stage, event), { passive: false });
    // A middle press would begin to scroll by itself, and paste on Linux.
    element.addEventListener('mousedown', (event) => event.button === 1 && event.preventDefault());
    element.addEventListener('auxclick', (event) => event.button === 1 && event.preventDefault());
    addEventListener('keydown', (event) => this.#key(event), true);
    addEventListener('keyup', (event) => event.code === 'Space' && this.#setSpace(false), true);
    addEventListener('blur', () => this.#setSpace(false));
  }

  /** @param {PointerEvent} event */
  #down(event) {
    const target = /** @type {Element} */ (event.target);
    this.stage.measure();
    if (event.pointerType === 'touch' && this.down.size === 1) {
      this.#pinch(event);
      return;
    }
    if (this.down.size > 0 || event.button === 2 || target.closest('.minimap')) return;
    const pans = event.button === 1 || this.space;
    if (!pans && isOwn(target)) {
      this.#pressOwn(target);
      return;
    }
    const gesture = this.#choose(event, pans);
    if (!gesture) return;
    this.#begin(event, gesture);
    if (event.pointerType === 'touch') this.press = window.setTimeout(() => this.#longPress(event), LONG_PRESS);
  }

  /** A press in a widget selects its node. @param {Element} target */
  #pressOwn(target) {
    const id = /** @type {HTMLElement | null} */ (target.closest('.node'))?.dataset.id;
    const { selection } = this.stage.session;
    if (id !== undefined && !selection.get().has(id)) selection.set(new Set([id]));
  }

  /**
   * @param {PointerEvent} event
   * @param {Gesture} gesture
   */
  #begin(event, gesture) {
    this.gesture = gesture;
    this.first = event;
    this.moved = false;
    this.down.set(event.pointerId, event);
    this.stage.element.setPointerCapture(event.pointerId);
    this.stage.element.dataset.gesture = gesture.cursor ?? '';
  }

  /**
   * @param {PointerEvent} event
   * @param {boolean} pans
   * @returns {Gesture | null}
   */
  #choose(event, pans) {
    const { stage } = this;
    const hit = stage.hit(event, event.pointerType === 'touch');
    if (event.button === 1 && (hit.kind === 'link' || hit.kind === 'point')) return linkPointGesture(stage, event, hit);
    if (pans) return panGesture(stage, event);
    const control = event.ctrlKey || event.metaKey;
    if (control && event.shiftKey && isGround(hit)) return zoomGesture(stage, event);
    switch (hit.kind) {
      case 'output': return linkGesture(stage, event, { side: 'output', node: hit.box.id, index: hit.index });
      case 'input': return linkGesture(stage, event, { side: 'input', node: hit.box.id, input: hit.input });
      case 'corner': case 'noteCorner': case 'groupCorner': {
        const pinned = hit.kind === 'corner' && hit.box.place.pinned;
        return pinned ? pressGesture(stage, event, hit.box.id) : cornerGesture(stage, event, hit);
      }
      case 'title': case 'body': return pressGesture(stage, event, hit.box.id);
      case 'note': return pressGesture(stage, event, hit.note.id);
      case 'group': return pressGesture(stage, event, `group:${hit.group.title}`);
      case 'point': case 'link': return linkPointGesture(stage, event, hit);
      default: {
        const selects = event.pointerType !== 'touch' && (control || stage.app.settings.get().drag === 'select');
        return selects ? bandGesture(stage, event) : panGesture(stage, event, true);
      }
    }
  }

  /** @param {PointerEvent} event */
  #pinch(event) {
    const first = /** @type {PointerEvent} */ ([...this.down.values()][0]);
    clearTimeout(this.press);
    this.gesture?.cancel?.();
    this.gesture = pinchGesture(this.stage, [first, event], () => [...this.down.values()]);
    this.moved = true;
    this.down.set(event.pointerId, event);
    this.stage.element.setPointerCapture(event.pointerId);
  }

  /** @param {PointerEvent} event */
  #move(event) {
    if (!this.down.has(event.pointerId)) {
      this.stage.app.pointer = this.stage.toCanvas(event);
      if (this.down.size === 0 && event.pointerType === 'mouse') this.#hover(event);
      return;
    }
    this.down.set(event.pointerId, event);
    const { first } = this;
    if (!this.moved && first) {
      const far = FAR[/** @type {keyof typeof FAR} */ (event.pointerType)] ?? 4;
      if (Math.hypot(event.clientX - first.clientX, event.clientY - first.clientY) < far) return;
      this.moved = true;
      clearTimeout(this.press);
    }
    const { gesture } = this;
    // Pointers tell more often than the screen shows.
    this.latest = event;
    if (gesture?.move && !this.waiting) {
      this.waiting = true;
      this.stage.scheduler.before(() => {
        this.waiting = false;
        if (this.latest && this.gesture === gesture) gesture.move?.(this.latest);
        this.latest = null;
      });
    }
  }

  /** @param {PointerEvent} event */
  #hover(event) {
    if (this.waiting) return;
    this.waiting = true;
    this.stage.scheduler.before(() => {
      this.waiting = false;
      if (this.gesture) return;
      const target = /** @type {Element} */ (event.target);
      const kind = isOwn(target) || target.closest('.minimap') ? '' : this.stage.hit(event).kind;
      if (this.stage.element.dataset.over !== kind) this.stage.element.dataset.over = kind;
    });
  }

  /** @param {PointerEvent} event */
  #up(event) {
    if (!this.down.delete(event.pointerId)) return;
    clearTimeout(this.press);
    const { gesture } = this;
    if (gesture && this.latest && this.moved) gesture.move?.(event);
    this.latest = null;
    if (this.down.size > 0) return;
    this.#forget();
    gesture?.end?.(event, this.moved);
  }

  #forget() {
    this.gesture = null;
    this.first = null;
    this.latest = null;
    this.stage.element.dataset.gesture = '';
  }

  /** @param {number} pointer */
  #cancel(pointer) {
    this.down.delete(pointer);
    clearTimeout(this.press);
    const { gesture } = this;
    this.#forget();
    gesture?.cancel?.();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.key === 'Escape' && this.gesture) {
      event.preventDefault();
      event.stopPropagation();
      for (const pointer of [...this.down.keys()]) this.#cancel(pointer);
    }
    const target = /** @type {Element | null} */ (event.target instanceof Element ? event.target : null);
    const onStage = target === document.body || target === this.stage.element || target?.classList.contains('node');
    if (event.code === 'Space' && onStage) {
      event.preventDefault();
      this.#setSpace(true);
    }
  }

  /** @param {boolean} held */
  #setSpace(held) {
    this.space = held;
    this.stage.element.classList.toggle('panning', held);
  }

  /** @param {MouseEvent} event */
  #double(event) {
    const target = /** @type {Element} */ (event.target);
    if (isOwn(target) || target.closest('.minimap')) return;
    const { stage } = this;
    const hit = stage.hit(event);
    if (hit.kind === 'title') renameInPlace(stage, hit.box.id);
    else if (hit.kind === 'note') renameInPlace(stage, hit.note.id);
    else if (hit.kind === 'group') renameInPlace(stage, `group:${hit.group.title}`);
    else if (hit.kind === 'point') removePoint(stage, hit.line, hit.index);
    else if (hit.kind === 'empty') searchAt(stage, event);
  }

  /** @param {MouseEvent} event */
  #menu(event) {
    const target = /** @type {Element} */ (event.target);
    if (target.closest('input, textarea, .minimap, .picture, .widget')) return;
    event.preventDefault();
    // The context-menu key has no place of its own.
    const focused = event.button === -1 || (event.clientX === 0 && event.clientY === 0);
    const id = focused ? /** @type {HTMLElement | null} */ (target.closest('.node'))?.dataset.id : undefined;
    const box = id === undefined ? undefined : this.stage.scene.boxes.get(id);
    if (box) openMenu(this.stage, this.stage.toClient({ x: box.x + 20, y: box.y + 20 }), { kind: 'title', box });
    else openMenu(this.stage, event, this.stage.hit(event));
  }

  /** @param {PointerEvent} event */
  #longPress(event) {
    if (this.moved || !this.gesture) return;
    this.#cancel(event.pointerId);
    openMenu(this.stage, event, this.stage.hit(event, true));
  }
}

/** @param {Hit} hit */
function isGround(hit) {
  return hit.kind === 'empty' || hit.kind === 'group' || hit.kind === 'link';
}
