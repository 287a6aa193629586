/**
 * One open file: its graph, its text, what is selected, and what was done to it.
 *
 * The graph leads while the canvas is edited; its text follows when nothing has happened for a moment, and the other way
 * round for edits of the text. While the text cannot be read the graph stays as it was last understood, and the canvas
 * cannot be edited.
 *
 *     session.edit('move', (graph) => moveItems(graph, ids, 10, 0), { merge: 'drag-1' });
 *     session.editText(text);      // somebody typed
 *     session.undo();
 *     session.flush();             // bring the text up to date now
 *
 * Signals: `graph`, `text`, `textProblems` (what is wrong with the text as text), `selection` (item keys: a node's id,
 * `group:title`, `note:0`, `point:node.input:0`), `file` (name on the server and its version), `saved` (the text as it
 * was last saved), `state` (rises with each change; which undo steps there are).
 *
 * @module
 */

/** @import {Graph, Problem} from './types.js' */
/** @import {ReadText} from './read.js' */
/** @import {Signal} from '../util/signal.js' */
import { signal } from '../util/signal.js';
import { writeText } from './document.js';
import { sameGraph } from './equal.js';
import { EMPTY_GRAPH, readItem } from './graph.js';
import { History } from './history.js';
import { readText } from './read.js';

const PAUSE = 300;

/** `example` is the one that it was opened from, `key` what its runs are found by. @typedef {{name: string | null, etag: string | null, label: string, example?: string, key?: string}} File */

/**
 * @typedef {{
 *   now: () => number,
 *   later: (run: () => void, milliseconds: number) => () => void,
 * }} Clock
 */

/** @type {Clock} */
const CLOCK = {
  now: () => Date.now(),
  later(run, milliseconds) {
    const timer = setTimeout(run, milliseconds);
    return () => clearTimeout(timer);
  },
};

export class Session {
  /**
   * @param {string} text
   * @param {{file?: File, clock?: Clock, place?: (graph: Graph) => Graph}} [options] place: gives places to nodes that
   *   have none
   */
  constructor(text, { file, clock = CLOCK, place = (graph) => graph } = {}) {
    /** @type {Clock} */
    this.clock = clock;
    this.place = place;
    /** The text that was last read or written, which the next change is made to. @type {ReadText} */
    this.read = readText(text);
    const graph = place(this.read.graph ?? EMPTY_GRAPH);
    /** @type {Signal<Graph>} */
    this.graph = signal(graph);
    /** @type {Signal<string>} */
    this.text = signal(text);
    /** @type {Signal<Problem[]>} */
    this.textProblems = signal(this.read.problems);
    /** @type {Signal<ReadonlySet<string>>} */
    this.selection = signal(/** @type {ReadonlySet<string>} */ (new Set()));
    /** @type {Signal<File>} */
    this.file = signal(file ?? { name: null, etag: null, label: graph.name ?? '' });
    /** @type {Signal<string>} */
    this.saved = signal(text);
    /** @type {Signal<number>} */
    this.state = signal(0);
    this.history = new History({ graph, text, problems: this.read.problems });
    this.holds = 0;
    /** @type {(() => void) | null} */
    this.cancelSync = null;
    this.textIsNewer = false;
  }

  /** Whether the canvas can be edited now: the text can be read. */
  get editable() {
    return this.textProblems.get().length === 0;
  }

  /** Whether something was changed since it was saved. */
  get dirty() {
    return this.history.isChanged || this.text.get() !== this.saved.get();
  }

  /**
   * Change the graph. Edits with the same `merge` that follow each other within a second, or during one hold, are one step
   * of undo.
   * @param {string} label what was done, a key of the strings
   * @param {(graph: Graph) => Graph} change
   * @param {{merge?: string}} [options]
   * @returns {boolean} whether it changed anything
   */
  edit(label, change, { merge } = {}) {
    if (this.textIsNewer) this.#readTyped();
    if (!this.editable) return false;
    const before = this.graph.get();
    const after = change(before);
    if (after === before) return false;
    // However long a drag rests, it stays one step.
    const { current } = this.history;
    const goesOn = this.holds > 0 && merge !== undefined && merge === current.merge;
    this.history.push({ graph: after, text: null, label, merge, at: goesOn ? current.at ?? 0 : this.clock.now() });
    this.#show(after);
    this.#syncLater(() => this.#writeText());
    return true;
  }

  /**
   * Take a text that somebody typed. It is read after a pause.
   * @param {string} text
   */
  editText(text) {
    if (text === this.text.get()) return;
    if (!this.textIsNewer) this.flush();
    this.textIsNewer = true;
    this.text.set(text);
    this.#syncLater(() => this.#readTyped());
  }

  /** Bring text and graph to the same state now. */
  flush() {
    if (this.textIsNewer) this.#readTyped();
    else if (this.history.current.text === null) this.#writeText();
    this.cancelSync?.();
    this.cancelSync = null;
  }

  /** Keep the text from following, as while something is dragged; answers what ends it. */
  hold() {
    this.holds += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.holds -= 1;
      if (this.holds === 0 && this.history.current.text === null) this.#syncLater(() => this.#writeText());
    };
  }

  /** Go back a step; answers its label, or null if there is none. */
  undo() {
    return this.#travel(() => this.history.undo());
  }

  /** Go forward again. */
  redo() {
    return this.#travel(() => this.history.redo());
  }

  /** Compute places anew for nodes that have none of their own, as when their types have become known. */
  placeAgain() {
    const { current } = this.history;
    const own = [...current.graph.places].map(([id, place]) => /** @type {const} */ ([id, place.auto ? { ...place, unplaced: true } : place]));
    if (own.length >= current.graph.nodes.size && own.every(([, place]) => !place.auto)) return;
    const graph = this.place({ ...current.graph, places: new Map(own) });
    current.graph = graph;
    this.graph.set(graph);
  }

  /**
   * Note that the present text is what the file has.
   * @param {File} file
   * @param {string} text what was saved
   */
  markSaved(file, text) {
    this.saved.set(text);
    this.file.set(file);
  }

  /** @param {() => string | null} step */
  #travel(step) {
    this.flush();
    const label = step();
    if (label === null) return null;
    const { graph, text, problems = [] } = this.history.current;
    if (text !== null) {
      this.text.set(text);
      this.textProblems.set(problems);
    }
    this.#show(graph);
    if (text === null) this.#syncLater(() => this.#writeText());
    return label;
  }

  /** @param {Graph} graph */
  #show(graph) {
    const selection = [...this.selection.get()].filter((key) => isThere(graph, key));
    if (selection.length !== this.selection.get().size) this.selection.set(new Set(selection));
    this.graph.set(graph);
    this.state.update((n) => n + 1);
  }

  #readTyped() {
    this.textIsNewer = false;
    const text = this.text.get();
    const read = readText(text, this.graph.get());
    this.textProblems.set(read.problems);
    const known = this.graph.get();
    if (!read.graph) {
      // A step too, so that going back takes the last piece of typing only, and going forward brings it back.
      this.history.push({ graph: known, text, problems: read.problems, label: 'edit.text', merge: 'text', at: this.clock.now() });
      this.state.update((n) => n + 1);
      return;
    }
    this.read = read;
    const graph = sameGraph(read.graph, known) ? known : this.place(keepPlaces(read.graph, known));
    this.history.push({ graph, text, label: 'edit.text', merge: 'text', at: this.clock.now() });
    if (graph === known) this.state.update((n) => n + 1);
    else this.#show(graph);
  }

  #writeText() {
    const { current } = this.history;
    if (current.text !== null) return;
    const shown = this.text.get();
    // After a step back the text shown is that of another state than the one last read.
    const base = this.read.text === shown ? this.read : readText(shown, current.graph);
    this.read = writeText(base, current.graph);
    current.text = this.read.text;
    this.textProblems.set(this.read.problems);
    this.text.set(this.read.text);
    this.state.update((n) => n + 1);
  }

  /** @param {() => void} run */
  #syncLater(run) {
    this.cancelSync?.();
    this.cancelSync = null;
    if (this.holds > 0) return;
    this.cancelSync = this.clock.later(() => {
      this.cancelSync = null;
      run();
    }, PAUSE);
  }
}

/**
 * Places that were computed for nodes which the text still does not place.
 * @param {Graph} graph
 * @param {Graph} known
 * @returns {Graph}
 */
function keepPlaces(graph, known) {
  const kept = [...known.places].flatMap(([id, place]) => {
    const own = graph.places.get(id);
    if (!place.auto || !graph.nodes.has(id) || (own && !own.unplaced)) return [];
    return [/** @type {const} */ ([id, { ...own, x: place.x, y: place.y, auto: true, unplaced: undefined }])];
  });
  return kept.length ? { ...graph, places: new Map([...graph.places, ...kept]) } : graph;
}

/**
 * Whether an item is in a graph.
 * @param {Graph} graph
 * @param {string} key
 */
function isThere(graph, key) {
  const { kind, id, index } = readItem(key);
  if (kind === 'group') return graph.groups.has(id);
  if (kind === 'note') return graph.notes.has(id);
  if (kind === 'point') return (graph.points.get(id)?.length ?? 0) > index;
  return graph.nodes.has(id);
}
