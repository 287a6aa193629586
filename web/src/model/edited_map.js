/**
 * Edits of a mapping in a text, gathered and then written as changes of the text.
 *
 * @module
 */

/** @import {Raw, TextChange} from './types.js' */
/** @import {MapIndex, PairIndex} from './read.js' */
import { renderAfterKey, renderInline, renderScalar } from './render.js';

/**
 * How a pair has to be written: on one line inside braces, or in a block whose keys begin at `indent`. `after` writes a
 * value as it follows `key:`, with the space or line break before it.
 * @typedef {{flow: boolean, indent: number, after: (value: Raw) => string}} Style
 */

/** @typedef {(style: Style) => string} Write */

/** @typedef {{after: string | null | undefined, key: string, write: Write, section: boolean}} Insertion */

export class EditedMap {
  /**
   * @param {string} text
   * @param {MapIndex | null} index null for a mapping that is not in the text yet
   * @param {readonly string[]} [order] the usual order of keys, which new ones follow
   */
  constructor(text, index, order = []) {
    this.text = text;
    this.index = index && index.pairs.size ? index : null;
    this.order = order;
    /** Values to write, after `key:`. @type {Map<string, Write>} */
    this.values = new Map();
    /** Pairs to write whole. @type {Map<string, Write>} */
    this.wholes = new Map();
    /** Pairs to take out, and whether the comments above go too. @type {Map<string, boolean>} */
    this.gone = new Map();
    /** @type {Map<string, string>} */
    this.names = new Map();
    /** @type {Insertion[]} */
    this.inserted = [];
    /** @type {Map<string, EditedMap>} */
    this.children = new Map();
  }

  /**
   * Whether a pair stands there; with a second key, in the mapping under the first.
   * @param {string} key
   * @param {string} [inner]
   */
  has(key, inner) {
    const pair = this.index?.pairs.get(key);
    return inner === undefined ? pair !== undefined : pair?.map?.pairs.has(inner) === true;
  }

  /**
   * Give a key a value; undefined takes it out.
   * @param {string} key
   * @param {Raw | undefined} value
   * @param {{comments?: boolean}} [options] comments: take the comment lines above with it
   */
  set(key, value, { comments = false } = {}) {
    if (value !== undefined) this.setText(key, (style) => style.after(value));
    else if (this.has(key)) this.gone.set(key, comments);
  }

  /**
   * Write what stands after `key:`.
   * @param {string} key
   * @param {Write} write
   */
  setText(key, write) {
    if (this.has(key)) this.values.set(key, write);
    else this.#add(key, write);
  }

  /**
   * Add a key that no pair has, or will have: one that has it now gets another name.
   * @param {string} key
   * @param {Raw} value
   */
  add(key, value) {
    this.#add(key, (style) => style.after(value));
  }

  /** @param {string} key @param {Write} write */
  #add(key, write) {
    this.inserted.push({ after: undefined, key, write: (style) => `${renderKey(key, style)}:${write(style)}`, section: false });
  }

  /**
   * Write a whole pair, or take it out.
   * @param {string} key
   * @param {Write | undefined} write
   */
  setWhole(key, write) {
    if (!write) this.set(key, undefined);
    else if (this.has(key)) this.wholes.set(key, write);
    else this.inserted.push({ after: undefined, key, write, section: true });
  }

  /**
   * Write a pair after another one, or first for null.
   * @param {string | null} after
   * @param {string} key
   * @param {Write} write
   */
  insertAfter(after, key, write) {
    this.inserted.push({ after, key, write, section: false });
  }

  /**
   * @param {string} key
   * @param {string} to
   */
  rename(key, to) {
    this.names.set(key, to);
  }

  /**
   * The mapping under a key, to be edited. One that becomes empty goes with its key.
   * @param {string} key
   * @param {boolean} goes
   * @param {readonly string[]} [order]
   * @returns {EditedMap}
   */
  child(key, goes, order = []) {
    const known = this.children.get(key);
    if (known) return known;
    const made = new EditedMap(this.text, this.index?.pairs.get(key)?.map ?? null, order);
    if (goes) {
      this.set(key, undefined);
      return made;
    }
    this.children.set(key, made);
    return made;
  }

  /** Whether nothing is to be done. */
  get isIdle() {
    return !this.inserted.length && !this.values.size && !this.wholes.size && !this.gone.size && !this.names.size && !this.children.size;
  }

  /**
   * All that was asked for, as changes of the text.
   * @returns {TextChange[]}
   */
  changes() {
    this.#settleChildren();
    const { index } = this;
    if (!index) return [];
    /** @type {TextChange[]} */
    const changes = [];
    for (const [key, child] of this.children) if (!this.gone.has(key)) changes.push(...child.changes());
    for (const [key, write] of this.values) changes.push(this.#replaced(pairOf(index, key), write));
    for (const [key, write] of this.wholes) {
      const pair = pairOf(index, key);
      changes.push({ from: pair.keyFrom, to: pair.valueTo, insert: write(this.#style(pair)) });
    }
    for (const [key, to] of this.names) {
      const pair = pairOf(index, key);
      changes.push({ from: pair.keyFrom, to: pair.keyTo, insert: renderKey(to, this.#style(pair)) });
    }
    changes.push(...(index.flow ? this.#flowEdits(index) : this.#blockEdits(index)));
    return changes.sort((a, b) => a.from - b.from || a.to - b.to);
  }

  /** Children that are not in the text as mappings with something in them are written whole. */
  #settleChildren() {
    for (const [key, child] of this.children) {
      if (child.index && !child.losesAll) continue;
      this.children.delete(key);
      if (child.isIdle && !this.has(key)) continue;
      this.setWhole(key, (style) => child.#whole(key, style));
    }
  }

  /** Whether nothing that stands there stays and nothing comes. */
  get losesAll() {
    return this.index !== null && this.gone.size === this.index.pairs.size;
  }

  /**
   * A mapping of what was inserted, as a pair.
   * @param {string} key
   * @param {Style} style
   */
  #whole(key, style) {
    this.#settleChildren();
    if (!this.inserted.length) return `${renderKey(key, style)}: {}`;
    if (style.flow) return `${renderKey(key, style)}: {${this.inserted.map(({ write }) => write(flowStyle(style.indent))).join(', ')}}`;
    const inner = blockStyle(style.indent + 2);
    const pad = ' '.repeat(style.indent + 2);
    return [`${renderKey(key, style)}:`, ...this.inserted.map(({ write }) => pad + write(inner))].join('\n');
  }

  /**
   * The value of a pair written anew, in its place.
   * @param {PairIndex} pair
   * @param {Write} write
   * @returns {TextChange}
   */
  #replaced(pair, write) {
    const { text } = this;
    const after = write(this.#style(pair));
    const colon = text.indexOf(':', pair.keyTo) + 1;
    const isInline = !pair.empty && !text.slice(colon, pair.valueFrom).includes('\n');
    if (!isInline) return { from: colon, to: pair.valueTo, insert: after };
    return { from: pair.valueFrom, to: pair.valueTo, insert: after.slice(1) };
  }

  /**
   * How the value of a pair has to be written. Where a comment follows on the line it stays on the line.
   * @param {PairIndex} pair
   * @returns {Style}
   */
  #style(pair) {
    const index = /** @type {MapIndex} */ (this.index);
    const rest = this.text.slice(pair.valueTo, lineEnd(this.text, pair.valueTo));
    const inline = index.flow || (rest.trim() !== '' && !pair.block);
    const after = (/** @type {Raw} */ value) => (inline ? ` ${renderInline(value, { flow: index.flow, quote: pair.quote })}` : renderAfterKey(value, index.indent, pair.quote));
    return { flow: index.flow, indent: index.indent, after };
  }

  /**
   * @param {MapIndex} index
   * @returns {TextChange[]}
   */
  #blockEdits(index) {
    const { text } = this;
    /** @type {TextChange[]} */
    const changes = [];
    for (const [key, comments] of this.gone) {
      const pair = pairOf(index, key);
      const line = lineStart(text, pair.keyFrom);
      const from = comments ? commentsAbove(text, line, index.indent) : line;
      const end = lineEnd(text, pair.valueTo);
      // With the line break before it, so that what is inserted at the end of the line stays outside.
      changes.push(from > 0 ? { from: from - 1, to: end, insert: '' } : { from: 0, to: Math.min(end + 1, text.length), insert: '' });
    }
    const pad = ' '.repeat(index.indent);
    const airy = index.indent === 0 && text.includes('\n\n');
    for (const { after, key, write, section } of this.inserted) {
      const anchor = this.#anchor(index, after, key);
      const pair = write(blockStyle(index.indent));
      const gap = section && airy ? '\n' : '';
      if (anchor) {
        const at = lineEnd(text, anchor.valueTo);
        changes.push({ from: at, to: at, insert: `\n${gap}${pad}${pair}` });
      } else {
        const first = lineStart(text, this.#firstKept(index)?.keyFrom ?? index.from);
        changes.push({ from: first, to: first, insert: `${pad}${pair}\n${gap}` });
      }
    }
    return changes;
  }

  /**
   * @param {MapIndex} index
   * @returns {TextChange[]}
   */
  #flowEdits(index) {
    /** @type {TextChange[]} */
    const changes = [];
    const keys = [...index.pairs.keys()];
    const isGone = keys.map((key) => this.gone.has(key));
    for (let i = 0; i < keys.length; i += 1) {
      if (!isGone[i]) continue;
      let end = i;
      while (isGone[end + 1]) end += 1;
      const [first, last] = [pairAt(index, keys, i), pairAt(index, keys, end)];
      if (end + 1 < keys.length) changes.push({ from: first.keyFrom, to: pairAt(index, keys, end + 1).keyFrom, insert: '' });
      else changes.push({ from: i > 0 ? pairAt(index, keys, i - 1).valueTo : first.keyFrom, to: last.valueTo, insert: '' });
      i = end;
    }
    const style = flowStyle(index.indent);
    const before = this.#firstKept(index);
    const loose = this.inserted.map((row) => ({ row, anchor: this.#anchor(index, row.after, row.key) }));
    const leading = loose.filter(({ anchor }) => !anchor).map(({ row }) => row.write(style));
    if (leading.length) {
      const at = before ? before.keyFrom : index.from + 1;
      changes.push({ from: at, to: at, insert: leading.join(', ') + (before ? ', ' : '') });
    }
    for (const { row, anchor } of loose) {
      if (anchor) changes.push({ from: anchor.valueTo, to: anchor.valueTo, insert: `, ${row.write(style)}` });
    }
    return changes;
  }

  /**
   * The pair that a new one follows, of those that stay; null if it comes first.
   * @param {MapIndex} index
   * @param {string | null | undefined} after
   * @param {string} key
   * @returns {PairIndex | null}
   */
  #anchor(index, after, key) {
    const keys = [...index.pairs.keys()];
    let last = keys.length - 1;
    if (after === null) return null;
    if (after !== undefined) last = keys.indexOf(after);
    else if (this.order.includes(key)) {
      const rank = this.order.indexOf(key);
      last = keys.findLastIndex((name) => this.order.indexOf(name) < rank);
    }
    for (let i = last; i >= 0; i -= 1) {
      const name = /** @type {string} */ (keys[i]);
      if (!this.gone.has(name)) return pairOf(index, name);
    }
    return null;
  }

  /** @param {MapIndex} index */
  #firstKept(index) {
    for (const [key, pair] of index.pairs) if (!this.gone.has(key)) return pair;
    return undefined;
  }
}

/**
 * @param {string} key
 * @param {Style} style
 */
function renderKey(key, style) {
  return renderScalar(key, { flow: style.flow });
}

/** @param {number} indent @returns {Style} */
function flowStyle(indent) {
  return { flow: true, indent, after: (value) => ` ${renderInline(value, { flow: true })}` };
}

/** @param {number} indent @returns {Style} */
function blockStyle(indent) {
  return { flow: false, indent, after: (value) => renderAfterKey(value, indent) };
}

/** @param {MapIndex} index @param {string} key */
function pairOf(index, key) {
  return /** @type {PairIndex} */ (index.pairs.get(key));
}

/** @param {MapIndex} index @param {string[]} keys @param {number} i */
function pairAt(index, keys, i) {
  return pairOf(index, /** @type {string} */ (keys[i]));
}

/** @param {string} text @param {number} at */
function lineStart(text, at) {
  return text.lastIndexOf('\n', at - 1) + 1;
}

/** @param {string} text @param {number} at */
function lineEnd(text, at) {
  const end = text.indexOf('\n', at);
  return end < 0 ? text.length : end;
}

/**
 * Where the comment lines right above a line begin, of those that are indented as much.
 * @param {string} text
 * @param {number} from start of the line
 * @param {number} indent
 */
function commentsAbove(text, from, indent) {
  let start = from;
  while (start > 0) {
    const above = lineStart(text, start - 1);
    const line = text.slice(above, start - 1);
    if (!line.startsWith('#', indent) || line.slice(0, indent).trim() !== '') break;
    start = above;
  }
  return start;
}
