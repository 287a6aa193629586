/**
 * Titles and notes that are edited where they stand.
 *
 * @module
 */

/** @import {Stage} from './stage.js' */
import { readItem, setGroup, updateNode, updateNote } from '../model/graph.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';

/**
 * Edit the title of a node or group, or the text of a note.
 * @param {Stage} stage
 * @param {string} key the item
 */
export function renameInPlace(stage, key) {
  if (!stage.session.editable) return;
  const { kind, id } = readItem(key);
  if (kind === 'node') renameNodeTitle(stage, id);
  else if (kind === 'group') renameGroup(stage, id);
  else if (kind === 'note') editNote(stage, id);
}

/**
 * @param {Stage} stage
 * @param {string} id
 */
function renameNodeTitle(stage, id) {
  const view = stage.ensure(id);
  const node = stage.session.graph.get().nodes.get(id);
  if (!view || !node) return;
  const shown = node.title ?? view.box.spec.display_name;
  editText(view.title, shown, false, view.element, (text) => {
    const title = text.trim() === '' || text === view.box.spec.display_name ? null : text;
    stage.session.edit('edit.rename', (graph) => updateNode(graph, id, { title }));
  });
}

/**
 * @param {Stage} stage
 * @param {string} title
 */
function renameGroup(stage, title) {
  const element = stage.frames.elementOf(`group:${title}`)?.querySelector('.group-title');
  if (!(element instanceof HTMLElement)) return;
  editText(element, title, false, stage.element, (text) => {
    const group = stage.session.graph.get().groups.get(title);
    if (!group || text === title) return;
    if (stage.session.graph.get().groups.has(text)) stage.say(t('view.taken', { name: text }));
    else stage.session.edit('edit.rename', (graph) => setGroup(graph, title, { ...group, title: text }));
  });
}

/**
 * @param {Stage} stage
 * @param {string} id
 */
function editNote(stage, id) {
  const element = stage.frames.elementOf(id)?.querySelector('.note-text');
  const note = stage.session.graph.get().notes.get(id);
  if (!(element instanceof HTMLElement) || !note) return;
  editText(element, note.text, true, stage.element, (text) => {
    stage.session.edit('edit.note', (graph) => updateNote(graph, id, { text }));
  });
}

/**
 * Put a field over a text until it is left. Enter and leaving take what was typed, Escape does not.
 * @param {HTMLElement} element
 * @param {string} text
 * @param {boolean} long
 * @param {HTMLElement} back who gets the focus afterwards
 * @param {(text: string) => void} take
 */
function editText(element, text, long, back, take) {
  const field = long ? h('textarea', { class: 'in-place', value: text, 'aria-label': t('view.rename') })
    : h('input', { class: 'in-place', value: text, maxLength: 200, 'aria-label': t('view.rename') });
  const parent = /** @type {HTMLElement} */ (element.parentElement);
  element.hidden = true;
  element.after(field);
  parent.classList.add('renaming');
  let done = false;
  const end = (/** @type {boolean} */ taken, /** @type {boolean} */ refocus) => {
    if (done) return;
    done = true;
    const { value } = field;
    field.remove();
    element.hidden = false;
    parent.classList.remove('renaming');
    if (taken && value !== text) take(value);
    if (refocus) back.focus({ preventScroll: true });
  };
  field.addEventListener('keydown', (/** @type {Event} */ event) => {
    const { key, isComposing, ctrlKey, metaKey } = /** @type {KeyboardEvent} */ (event);
    event.stopPropagation();
    if (isComposing) return;
    if (key === 'Escape' || (key === 'Enter' && (!long || ctrlKey || metaKey))) end(key === 'Enter', true);
  });
  field.addEventListener('blur', () => end(true, false));
  field.focus({ preventScroll: true });
  field.select();
}
