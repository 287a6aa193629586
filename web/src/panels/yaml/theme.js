/**
 * How the text looks, in the colours of the page: light and dark are its variables' business.
 *
 * @module
 */

/** @typedef {typeof import('../../../vendor/codemirror.js')} CodeMirror */

/**
 * @param {CodeMirror} cm
 * @returns {import('../../../vendor/codemirror.js').Extension}
 */
export function theme(cm) {
  return [
    cm.EditorView.theme({
      '&': { height: '100%', color: 'var(--text)', backgroundColor: 'var(--panel)', fontSize: '13px' },
      '&.cm-focused': { outline: '2px solid var(--accent)', outlineOffset: '-2px' },
      '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.5' },
      '.cm-content': { caretColor: 'var(--text)' },
      '.cm-cursor': { borderLeftColor: 'var(--text)' },
      '.cm-gutters': { backgroundColor: 'var(--panel)', color: 'var(--faint)', borderRight: '1px solid var(--border)' },
      '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'color-mix(in srgb, var(--text) 5%, transparent)' },
      '.cm-node-selected': {
        boxShadow: 'inset 3px 0 0 var(--accent)',
        backgroundColor: 'color-mix(in srgb, var(--accent) 9%, transparent)',
      },
      '.cm-selectionBackground, &.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground': {
        backgroundColor: 'color-mix(in srgb, var(--accent) 32%, transparent)',
      },
      '.cm-reference': { color: 'var(--code-special)' },
      '.cm-foldPlaceholder': {
        backgroundColor: 'transparent',
        border: '1px solid var(--border)',
        color: 'var(--faint)',
      },
      '.cm-panels, .cm-tooltip': {
        backgroundColor: 'var(--raised)',
        color: 'var(--text)',
        border: '1px solid var(--border)',
      },
      '.cm-tooltip': { borderRadius: '6px', maxWidth: '32em' },
      '.cm-tooltip-autocomplete > ul > li[aria-selected]': {
        backgroundColor: 'var(--accent)',
        color: 'var(--on-accent)',
      },
      '.cm-completionDetail': { color: 'var(--faint)', fontStyle: 'normal', marginLeft: '1em' },
      'li[aria-selected] .cm-completionDetail': { color: 'inherit' },
      '.cm-completionInfo': { whiteSpace: 'pre-wrap', padding: '6px 10px' },
      '.cm-textfield, .cm-button': {
        backgroundColor: 'var(--field)',
        backgroundImage: 'none',
        color: 'var(--text)',
        border: '1px solid var(--border)',
      },
      '.cm-searchMatch': { backgroundColor: 'color-mix(in srgb, var(--warn) 35%, transparent)' },
      '.cm-searchMatch-selected': { outline: '2px solid var(--warn)' },
      '.cm-diagnostic': { whiteSpace: 'pre-wrap' },
      '.yaml-hint': { color: 'var(--faint)' },
      '.yaml-meaning': { padding: '6px 10px', whiteSpace: 'pre-wrap' },
      '.yaml-meaning-title': { fontWeight: '600' },
      '.yaml-meaning-facts': { color: 'var(--faint)', fontFamily: 'var(--mono)', fontSize: '12px' },
    }),
    cm.syntaxHighlighting(highlighting(cm)),
    references(cm),
    hangingIndents(cm),
  ];
}

/** @param {CodeMirror} cm */
function highlighting(cm) {
  const { tags } = cm;
  return cm.HighlightStyle.define([
    { tag: [tags.definition(tags.propertyName), tags.propertyName], color: 'var(--code-key)' },
    { tag: tags.string, color: 'var(--code-text)' },
    { tag: [tags.lineComment, tags.comment], color: 'var(--code-comment)', fontStyle: 'italic' },
    { tag: [tags.labelName, tags.typeName, tags.meta, tags.keyword], color: 'var(--code-special)' },
    { tag: [tags.separator, tags.punctuation, tags.squareBracket, tags.brace], color: 'var(--faint)' },
  ]);
}

/**
 * `$name` and `${name}`, which are plain texts to YAML.
 * @param {CodeMirror} cm
 */
function references(cm) {
  const matcher = new cm.MatchDecorator({
    regexp: /\$(?:\$|\{[A-Za-z_][\w-]*\}|[A-Za-z_][\w-]*(?:\.\w[\w-]*)?)/g,
    decoration: cm.Decoration.mark({ class: 'cm-reference' }),
  });
  /** @typedef {import('../../../vendor/codemirror.js').EditorView} EditorView */
  return cm.ViewPlugin.fromClass(
    class {
      /** @param {EditorView} view */
      constructor(view) {
        this.marks = matcher.createDeco(view);
      }

      /** @param {import('../../../vendor/codemirror.js').ViewUpdate} update */
      update(update) {
        this.marks = matcher.updateDeco(update, this.marks);
      }
    },
    { decorations: (plugin) => plugin.marks },
  );
}

/** Lines that are indented further continue at the left, so that something fits beside it. */
const MOST_INDENT = 16;

/**
 * Lines that are too long go on below where they begin, not at the left edge.
 * @param {CodeMirror} cm
 */
function hangingIndents(cm) {
  /** @param {import('../../../vendor/codemirror.js').EditorView} view */
  const decorate = (view) => {
    /** @type {import('../../../vendor/codemirror.js').Range<import('../../../vendor/codemirror.js').Decoration>[]} */
    const found = [];
    for (const { from, to } of view.visibleRanges) {
      for (let line = view.state.doc.lineAt(from); ; line = view.state.doc.line(line.number + 1)) {
        const indent = Math.min(/^(?: |- )*/.exec(line.text)?.[0].length ?? 0, MOST_INDENT);
        if (indent > 0) found.push(indents(indent).range(line.from));
        if (line.to >= to || line.number === view.state.doc.lines) break;
      }
    }
    return cm.Decoration.set(found);
  };
  /** @type {Map<number, import('../../../vendor/codemirror.js').Decoration>} */
  const known = new Map();
  /** @param {number} indent */
  const indents = (indent) => {
    const style = `padding-left: calc(${indent}ch + 6px); text-indent: -${indent}ch`;
    const decoration = known.get(indent) ?? cm.Decoration.line({ attributes: { style } });
    known.set(indent, decoration);
    return decoration;
  };
  return cm.ViewPlugin.fromClass(
    class {
      /** @param {import('../../../vendor/codemirror.js').EditorView} view */
      constructor(view) {
        this.marks = decorate(view);
      }

      /** @param {import('../../../vendor/codemirror.js').ViewUpdate} update */
      update(update) {
        if (update.docChanged || update.viewportChanged) this.marks = decorate(update.view);
      }
    },
    { decorations: (plugin) => plugin.marks },
  );
}
