/**
 * All drawing of the canvas in one animation frame: who changes something marks what it touches, and the frame that comes
 * does what is marked.
 *
 * @module
 */

/** What has to be looked at again: the graph, what nodes say, where we look, the small map. */
export const GRAPH = 1;
export const STATE = 2;
export const VIEW = 4;
export const MAP = 8;

export class Scheduler {
  /** @param {(marks: number) => void} frame */
  constructor(frame) {
    this.frame = frame;
    this.marks = 0;
    this.request = 0;
    /** @type {Set<() => void>} */
    this.once = new Set();
  }

  /** @param {number} marks */
  mark(marks) {
    this.marks |= marks;
    if (!this.request) this.request = requestAnimationFrame(() => this.run());
  }

  /** Call something once, before the next frame is drawn: pointer moves come more often than frames. @param {() => void} work */
  before(work) {
    this.once.add(work);
    this.mark(0);
  }

  /** Draw what is marked now. */
  run() {
    if (this.request) cancelAnimationFrame(this.request);
    this.request = 0;
    for (const work of [...this.once]) {
      this.once.delete(work);
      work();
    }
    // What is marked by the work above belongs to this frame.
    if (this.request) cancelAnimationFrame(this.request);
    this.request = 0;
    const { marks } = this;
    this.marks = 0;
    if (marks) this.frame(marks);
  }
}
