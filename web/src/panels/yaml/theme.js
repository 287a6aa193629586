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
