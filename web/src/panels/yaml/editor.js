/**
 * The editor of one text: CodeMirror with what it knows of workflows. It keeps no history; undo is its owner's.
 *
 * @module
 */

/** @import {Catalogue} from '../../model/catalogue.js' */
/** @import {MapIndex} from '../../model/read.js' */
/** @import {Graph, Problem} from '../../model/types.js' */
/** @import {CompletionContext, EditorState, EditorView, Extension, Tooltip, ViewUpdate} from '../../../vendor/codemirror.js' */
/** @import {CodeMirror} from './theme.js' */
/** @import {Option} from './complete.js' */
import { difference } from '../../model/document.js';
import { t } from '../../util/i18n.js';
import { completeAt } from './complete.js';
import { diagnosticsOf } from './diagnostics.js';
import { meaningAt } from './hover.js';
import { nodeAt, nodeRange } from './nodes.js';
import { theme } from './theme.js';
import { indentAfter } from './where.js';

/**
 * What the editor asks its owner. `index` says where things stand in a text, or null if the text is newer than what is
 * known; `edited` hears of what somebody typed; `moved` hears in which node the cursor is now.
 * @typedef {{
 *   catalogue: () => Catalogue, graph: () => Graph, index: (text: string) => MapIndex | null,
 *   edited: (text: string) => void, moved: (node: string | null) => void, undo: () => void, redo: () => void,
 * }} Owner
 */

/** CodeMirror's words, and the keys of ours. */
const PHRASES = new Map([
  ['Find', 'find'],
  ['Replace', 'replaceWith'],
  ['next', 'next'],
  ['previous', 'previous'],
  ['all', 'all'],
  ['match case', 'matchCase'],
  ['regexp', 'regexp'],
  ['by word', 'byWord'],
  ['replace', 'replace'],
  ['replace all', 'replaceAll'],
  ['close', 'close'],
  ['Go to line', 'goToLine'],
  ['go', 'go'],
  ['Fold line', 'fold'],
  ['Unfold line', 'unfold'],
  ['folded code', 'folded'],
  ['unfold', 'unfold'],
  ['Diagnostics', 'problems'],
  ['No diagnostics', 'noProblems'],
  ['Completions', 'completions'],
]);
/** Lines of the selected nodes that are marked, at most. */
const MOST_MARKED = 2000;

export class Editor {
  /**
   * @param {CodeMirror} cm
   * @param {HTMLElement} parent
   * @param {Owner} owner
   */
  constructor(cm, parent, owner) {
    this.cm = cm;
    this.owner = owner;
    /** Marks changes that come from elsewhere. */
    this.outside = cm.Annotation.define();
    /** @type {import('../../../vendor/codemirror.js').StateEffectType<{from: number, to: number}[]>} */
    this.mark = cm.StateEffect.define();
    this.readOnly = new cm.Compartment();
    /** @type {Extension} */
    this.extensions = this.#extensions();
    /** @type {EditorView} */
    this.view = new cm.EditorView({ parent, state: this.state('') });
  }

  /**
   * A state for a text, to be shown or kept.
   * @param {string} text
   * @returns {EditorState}
   */
  state(text) {
    return this.cm.EditorState.create({ doc: text, extensions: this.extensions });
  }

  get text() {
    return this.view.state.doc.toString();
  }

  /**
   * Show another text with as little change as possible: cursor, folds and the place on the screen stay.
   * @param {string} text
   * @param {{follow?: boolean}} [options] follow: put the cursor where it changed
   */
  setText(text, { follow = false } = {}) {
    const change = difference(this.text, text);
    if (!change) return;
    this.view.dispatch({
      changes: change,
      annotations: this.outside.of(true),
      ...(follow ? { selection: { anchor: change.from + change.insert.length }, scrollIntoView: true } : {}),
    });
  }

  /** @param {boolean} readOnly */
  setReadOnly(readOnly) {
    const { EditorState } = this.cm;
    if (this.view.state.readOnly === readOnly) return;
    this.view.dispatch({ effects: this.readOnly.reconfigure(EditorState.readOnly.of(readOnly)) });
  }

  /**
   * Underline what is wrong.
   * @param {readonly Problem[]} problems
   * @param {boolean} codePoints
   */
  setProblems(problems, codePoints) {
    const { state } = this.view;
    const found = diagnosticsOf(state.doc, problems, this.owner.index(this.text), codePoints);
    this.view.dispatch(this.cm.setDiagnostics(state, found));
  }

  /**
   * Mark the lines of nodes, and bring the first into view unless somebody is at work in the text.
   * @param {ReadonlySet<string>} nodes
   */
  showNodes(nodes) {
    const text = this.text;
    const index = this.owner.index(text);
    const ranges = [...nodes].flatMap((node) => nodeRange(text, index, node) ?? []).sort((a, b) => a.from - b.from);
    /** @type {import('../../../vendor/codemirror.js').StateEffect<any>[]} */
    const effects = [this.mark.of(ranges)];
    const first = ranges[0];
    if (first && !this.view.hasFocus && !ranges.some(({ from, to }) => this.#isInView(from, to))) {
      effects.push(this.cm.EditorView.scrollIntoView(first.from, { y: 'start', yMargin: 40 }));
    }
    this.view.dispatch({ effects });
  }

  /**
   * Put the cursor at a place, as for a problem that was clicked. Lines and columns count from one.
   * @param {number} line
   * @param {number} [column]
   */
  goTo(line, column = 1) {
    const { doc } = this.view.state;
    const at = doc.line(Math.max(1, Math.min(line, doc.lines)));
    this.view.dispatch({
      selection: { anchor: Math.min(at.from + column - 1, at.to) },
      scrollIntoView: true,
      userEvent: 'select',
    });
    this.view.focus();
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  #isInView(from, to) {
    const { scrollTop, clientHeight } = this.view.scrollDOM;
    const top = this.view.lineBlockAt(Math.min(from, this.view.state.doc.length)).top;
    const bottom = this.view.lineBlockAt(Math.min(to, this.view.state.doc.length)).bottom;
    return bottom > scrollTop && top < scrollTop + clientHeight;
  }

  /** @param {ViewUpdate} update */
  #updated(update) {
    const typed = update.docChanged && !update.transactions.some((each) => each.annotation(this.outside));
    if (typed) this.owner.edited(update.state.doc.toString());
    const moved = update.transactions.some((each) => each.isUserEvent('select'));
    if (!moved && !typed) return;
    const text = update.state.doc.toString();
    this.owner.moved(nodeAt(text, update.state.selection.main.head, this.owner.index(text)));
  }

  /** @returns {Extension} */
  #extensions() {
    const { cm } = this;
    return [
      cm.lineNumbers(),
      cm.foldGutter(),
      cm.lintGutter(),
      cm.highlightSpecialChars(),
      cm.drawSelection(),
      cm.dropCursor(),
      cm.indentUnit.of('  '),
      cm.indentService.of((context, pos) => {
        const { doc } = context.state;
        const line = doc.lineAt(pos);
        // a line that is about to be broken is not yet two
        if (context.simulatedBreak === pos) return indentAfter(line.text.slice(0, pos - line.from), 2);
        return line.number > 1 ? indentAfter(doc.line(line.number - 1).text, 2) : 0;
      }),
      cm.bracketMatching(),
      cm.closeBrackets(),
      cm.highlightActiveLine(),
      cm.highlightActiveLineGutter(),
      cm.highlightSelectionMatches(),
      cm.search({ top: true }),
      cm.yaml(),
      theme(cm),
      cm.EditorView.lineWrapping,
      cm.EditorState.phrases.of(phrases()),
      cm.EditorState.allowMultipleSelections.of(true),
      cm.EditorView.contentAttributes.of({ 'aria-label': t('yaml.label'), spellcheck: 'false', tabindex: '0' }),
      this.readOnly.of(cm.EditorState.readOnly.of(false)),
      cm.autocompletion({
        override: [(context) => this.#complete(context)],
        activateOnCompletion: (option) => option.type === 'key' || option.type === 'input',
        maxRenderedOptions: 200,
        interactionDelay: 0, // else Tab right after the list has come would indent
        icons: false,
      }),
      cm.hoverTooltip((_, pos) => this.#hover(pos)),
      this.#marks(),
      this.#keys(),
      cm.EditorView.updateListener.of((update) => this.#updated(update)),
    ];
  }

  /** Undo is the owner's; Ctrl+Enter and Ctrl+S are the page's. */
  #keys() {
    const { cm } = this;
    return cm.keymap.of([
      {
        key: 'Mod-z',
        run: () => (this.owner.undo(), true),
        shift: () => (this.owner.redo(), true),
        preventDefault: true,
      },
      { key: 'Mod-y', run: () => (this.owner.redo(), true), preventDefault: true },
      { key: 'Tab', run: cm.acceptCompletion },
      ...cm.closeBracketsKeymap,
      ...cm.completionKeymap,
      ...cm.lintKeymap,
      ...cm.searchKeymap,
      ...cm.foldKeymap,
      ...cm.defaultKeymap.filter(({ key }) => key !== 'Mod-Enter'),
      // Escape, then Tab, leaves the text
      cm.indentWithTab,
    ]);
  }

  /** The lines of the nodes that are selected. */
  #marks() {
    const { cm } = this;
    const line = cm.Decoration.line({ class: 'cm-node-selected' });
    return cm.StateField.define({
      create: () => cm.Decoration.none,
      update: (marks, transaction) => {
        let now = marks.map(transaction.changes);
        for (const effect of transaction.effects) {
          if (effect.is(this.mark))
            now = cm.Decoration.set(linesOf(transaction.state.doc, effect.value).map((from) => line.range(from)));
        }
        return now;
      },
      provide: (field) => cm.EditorView.decorations.from(field),
    });
  }

  /**
   * @param {CompletionContext} context
   * @returns {import('../../../vendor/codemirror.js').CompletionResult | null}
   */
  #complete(context) {
    const text = context.state.doc.toString();
    const found = completeAt(text, context.pos, this.owner.catalogue(), this.owner.graph(), context.explicit);
    if (!found) return null;
    return {
      from: found.from,
      to: found.to,
      validFor: /^[\w.$/-]*$/,
      options: found.options.map((option) => ({
        label: option.label,
        type: option.kind,
        ...(option.insert === undefined ? {} : { apply: option.insert }),
        ...(option.detail ? { detail: option.detail } : {}),
        ...(option.help || option.key ? { info: option.key ? t(option.key) : option.help } : {}),
        ...(option.boost === undefined ? {} : { boost: option.boost }),
      })),
    };
  }

  /**
   * @param {number} pos
   * @returns {Tooltip | null}
   */
  #hover(pos) {
    const meaning = meaningAt(this.text, pos, this.owner.catalogue(), this.owner.graph());
    if (!meaning) return null;
    const { from, to, title, facts, help, key } = meaning;
    const create = () => {
      const dom = document.createElement('div');
      dom.className = 'yaml-meaning';
      const rows = [
        ['title', title],
        ['facts', facts.join(' · ')],
        ['help', key ? t(key) : help],
      ];
      for (const [name, content] of rows) {
        if (!content) continue;
        const row = document.createElement('div');
        row.className = `yaml-meaning-${name}`;
        row.textContent = content;
        dom.append(row);
      }
      return { dom };
    };
    return { pos: from, end: to, above: true, create };
  }
}

/**
 * Where the lines of ranges begin.
 * @param {EditorState['doc']} doc
 * @param {{from: number, to: number}[]} ranges sorted
 */
function linesOf(doc, ranges) {
  /** @type {number[]} */
  const starts = [];
  for (const { from, to } of ranges) {
    const last = doc.lineAt(Math.min(to, doc.length)).number;
    for (
      let line = doc.lineAt(Math.min(from, doc.length)).number;
      line <= last && starts.length < MOST_MARKED;
      line += 1
    ) {
      const start = doc.line(line).from;
      if (starts.at(-1) !== start) starts.push(start);
    }
  }
  return starts;
}

/** CodeMirror's own words, in the page's language. */
function phrases() {
  return Object.fromEntries([...PHRASES].map(([phrase, key]) => [phrase, t(`yaml.${key}`)]));
}
