/**
 * The steps that were done to a graph. Graphs never change, so that a step is the graph it led to.
 *
 * @module
 */

/** @import {Graph, Problem} from './types.js' */

/**
 * A state. `text` is null until the graph has been written; `problems` say what is wrong with it, if it cannot be read.
 * The graph is then the last one that was understood.
 * @typedef {{
 *   graph: Graph, text: string | null, problems?: Problem[], label?: string, merge?: string, at?: number,
 * }} State
 */

const MOST_STEPS = 500;
/** States beyond this many keep no text but are written again, to bound memory. The first one always has its own. */
const MOST_TEXTS = 60;
const MERGE_WITHIN = 1000;

export class History {
  /** @param {State} first */
  constructor(first) {
    /** @type {State[]} */
    this.states = [first];
    this.at = 0;
    this.closed = false;
  }

  /** The state that is shown. */
  get current() {
    return /** @type {State} */ (this.states[this.at]);
  }

  /** Whether it has changes that are not in a text yet. */
  get isChanged() {
    return this.current.text === null;
  }

  get undoLabel() {
    return this.at > 0 ? (this.current.label ?? '') : null;
  }

  get redoLabel() {
    return this.states[this.at + 1]?.label ?? null;
  }

  /**
   * Go on from here with a new state. It takes the place of the present one if it continues the same action.
   * @param {State & {at: number}} state
   */
  push(state) {
    const { current } = this;
    this.states.length = this.at + 1;
    const continues = !this.closed && this.at > 0 && state.merge !== undefined && state.merge === current.merge && state.at - (current.at ?? 0) <= MERGE_WITHIN;
    this.closed = false;
    if (continues) this.states[this.at] = state;
    else {
      this.states.push(state);
      this.at += 1;
      this.#bound();
    }
  }

  /** The next edit is a step of its own, whatever it continues. */
  close() {
    this.closed = true;
  }

  /** @returns {string | null} the label of what was undone */
  undo() {
    if (this.at === 0) return null;
    const { label } = this.current;
    this.at -= 1;
    this.closed = true;
    return label ?? '';
  }

  /** @returns {string | null} */
  redo() {
    const next = this.states[this.at + 1];
    if (!next) return null;
    this.at += 1;
    this.closed = true;
    return next.label ?? '';
  }

  #bound() {
    if (this.states.length > MOST_STEPS) {
      this.states.splice(1, 1);
      this.at -= 1;
    }
    const old = this.states[this.at - MOST_TEXTS];
    if (old && this.at - MOST_TEXTS > 0 && !old.problems?.length) old.text = null;
  }
}
