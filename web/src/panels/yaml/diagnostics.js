/**
 * Mistakes at their places in the text.
 *
 * @module
 */

/** @import {Problem} from '../../model/types.js' */
/** @import {Diagnostic, EditorState} from '../../../vendor/codemirror.js' */
/** @import {MapIndex} from '../../model/read.js' */

import { nodeRange } from './nodes.js';

/** @typedef {EditorState['doc']} Doc */

const WORD = /^(?:"(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s,{}[\]#][^\s,{}[\]]*)/;

/**
 * The problems as CodeMirror takes them, sorted by place.
 * @param {Doc} doc
 * @param {readonly Problem[]} problems
 * @param {MapIndex | null} index where nodes stand, for problems that know no line
 * @param {boolean} [codePoints] whether columns count characters, as the server does, and not half surrogates
 * @returns {Diagnostic[]}
 */
export function diagnosticsOf(doc, problems, index, codePoints = true) {
  return problems
    .map((problem) => ({
      ...rangeOf(doc, problem, index, codePoints),
      severity: problem.severity ?? /** @type {const} */ ('error'),
      message: problem.hint ? `${problem.message}\n${problem.hint}` : problem.message,
      renderMessage: () => messageOf(problem),
    }))
    .sort((a, b) => a.from - b.from || a.to - b.to);
}

/**
 * From where to where a problem is underlined: the word at its column.
 * @param {Doc} doc
 * @param {Problem} problem
 * @param {MapIndex | null} index
 * @param {boolean} codePoints
 */
function rangeOf(doc, problem, index, codePoints) {
  if (problem.line === undefined || problem.line < 1) return nodeName(doc, problem, index) ?? wholeLine(doc, 1);
  const line = doc.line(Math.min(problem.line, doc.lines));
  if (problem.column === undefined) return wholeLine(doc, line.number);
  const column = problem.column - 1;
  const before = codePoints ? [...line.text].slice(0, column).join('').length : Math.min(column, line.length);
  const word = WORD.exec(line.text.slice(before))?.[0] ?? '';
  return word === '' ? wholeLine(doc, line.number) : { from: line.from + before, to: line.from + before + word.length };
}

/**
 * @param {Doc} doc
 * @param {number} number
 */
function wholeLine(doc, number) {
  const line = doc.line(number);
  const lead = line.text.length - line.text.trimStart().length;
  return { from: Math.min(line.from + lead, line.to), to: line.to };
}

/**
 * @param {Doc} doc
 * @param {Problem} problem
 * @param {MapIndex | null} index
 */
function nodeName(doc, problem, index) {
  if (problem.node === undefined) return null;
  const node = index?.pairs.get('nodes')?.map?.pairs.get(problem.node);
  if (!node) {
    const range = nodeRange(doc.toString(), index, problem.node);
    return range ? wholeLine(doc, doc.lineAt(range.from).number) : null;
  }
  const input = problem.input === undefined ? undefined : node.map?.pairs.get('with')?.map?.pairs.get(problem.input);
  const { keyFrom, keyTo } = input ?? node;
  return { from: keyFrom, to: keyTo };
}

/**
 * What is wrong, and below it what would be right.
 * @param {Problem} problem
 */
function messageOf(problem) {
  const element = document.createElement('div');
  element.append(paragraph(problem.message, 'yaml-problem'));
  if (problem.hint) element.append(paragraph(problem.hint, 'yaml-hint'));
  return element;
}

/**
 * @param {string} text
 * @param {string} className
 */
function paragraph(text, className) {
  const element = document.createElement('div');
  element.className = className;
  element.textContent = text;
  return element;
}
