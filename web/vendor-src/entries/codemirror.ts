// What the YAML panel uses of CodeMirror, and what its neighbours may come to use.
export {
  Annotation,
  ChangeSet,
  Compartment,
  EditorSelection,
  EditorState,
  Facet,
  Prec,
  RangeSet,
  RangeSetBuilder,
  StateEffect,
  StateField,
  Text,
  Transaction,
} from '@codemirror/state';
export type { ChangeSpec, Extension, Range, SelectionRange, StateEffectType, TransactionSpec } from '@codemirror/state';
export {
  Decoration,
  EditorView,
  GutterMarker,
  MatchDecorator,
  ViewPlugin,
  WidgetType,
  crosshairCursor,
  drawSelection,
  dropCursor,
  gutter,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  hoverTooltip,
  keymap,
  lineNumbers,
  placeholder,
  rectangularSelection,
  runScopeHandlers,
  scrollPastEnd,
  tooltips,
} from '@codemirror/view';
export type { Command, DecorationSet, KeyBinding, Tooltip, ViewUpdate } from '@codemirror/view';
export {
  defaultKeymap,
  history,
  historyKeymap,
  indentLess,
  indentMore,
  indentWithTab,
  insertNewlineAndIndent,
  redo,
  standardKeymap,
  toggleComment,
  toggleLineComment,
  undo,
} from '@codemirror/commands';
export {
  HighlightStyle,
  bracketMatching,
  codeFolding,
  ensureSyntaxTree,
  foldAll,
  foldGutter,
  foldKeymap,
  foldService,
  foldedRanges,
  indentOnInput,
  indentService,
  indentUnit,
  syntaxHighlighting,
  syntaxTree,
  unfoldAll,
} from '@codemirror/language';
export {
  acceptCompletion,
  autocompletion,
  closeBrackets,
  closeBracketsKeymap,
  closeCompletion,
  completionKeymap,
  completionStatus,
  currentCompletions,
  startCompletion,
} from '@codemirror/autocomplete';
export type { Completion, CompletionContext, CompletionResult } from '@codemirror/autocomplete';
export {
  diagnosticCount,
  forEachDiagnostic,
  forceLinting,
  lintGutter,
  lintKeymap,
  linter,
  setDiagnostics,
} from '@codemirror/lint';
export type { Diagnostic } from '@codemirror/lint';
export { highlightSelectionMatches, openSearchPanel, search, searchKeymap } from '@codemirror/search';
export { yaml, yamlLanguage } from '@codemirror/lang-yaml';
export { tags } from '@lezer/highlight';
