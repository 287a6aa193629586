/**
 * Pictures of the input folder: chosen, brought along by button, drop or paste, shown small, and masked.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Raw} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
import { escape, unescape } from '../model/values.js';
import { BASE, api, fileId } from '../net/api.js';
import { h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { comboControl } from './combo.js';

const KINDS = 'image/png,image/webp,image/jpeg';

/** @param {string} name a picture in the input folder */
function addressOf(name) {
  return `${BASE}uploads/${fileId(name)}`;
}

/**
 * Where a small version of a picture is: that of the input folder, or of the example that brings it along.
 * @param {Frame} frame
 * @param {string} name
 */
function smallOf({ context }, name) {
  const { example } = context.session.file.get();
  const isBrought = example && !context.input.choices?.includes(name);
  return isBrought ? `${BASE}examples/${encodeURIComponent(example)}/pictures/${fileId(name)}` : `${addressOf(name)}/thumbnail?size=512`;
}

/** @param {Frame} frame @returns {Control} */
export function imageControl(frame) {
  const { name } = frame.context.input;
  const combo = comboControl(frame);
  const chooser = h('input', { type: 'file', accept: KINDS, hidden: true, 'aria-label': t('widget.image.upload', { name }) });
  const upload = h('button', {
    type: 'button', class: 'widget-button', title: t('widget.image.upload', { name }), 'aria-label': t('widget.image.upload', { name }),
    onclick: () => chooser.click(),
  }, icon('upload'));
  const mask = h('button', {
    type: 'button', class: 'widget-button', title: t('widget.image.mask'), 'aria-label': t('widget.image.mask.of', { name }),
    onclick: () => void editMask(frame, keepFile),
  }, icon('mask'));
  const picture = h('img', { alt: '', draggable: false, loading: 'lazy', decoding: 'async', hidden: true });
  const words = h('span', { class: 'image-words' });
  const well = h('div', { class: 'image-well' }, picture, words);
  const say = (/** @type {string} */ text) => void (words.textContent = text);
  picture.addEventListener('load', () => {
    picture.hidden = false;
    say('');
  });
  picture.addEventListener('error', () => {
    picture.hidden = true;
    say(t('widget.image.unseen'));
  });
  /** @param {Blob} file @param {string} called */
  async function keepFile(file, called) {
    frame.element.setAttribute('aria-busy', 'true');
    say(t('widget.image.sending'));
    try {
      await takeUpload(frame, file, called);
    } catch (error) {
      const { message, hint } = /** @type {{message: string, hint?: string}} */ (error);
      frame.say(hint ? `${message}\n${hint}` : message);
      say(picture.hidden ? t('widget.image.drop') : '');
    }
    frame.element.removeAttribute('aria-busy');
  }
  chooser.addEventListener('change', () => {
    const [file] = chooser.files ?? [];
    chooser.value = '';
    if (file) void keepFile(file, file.name);
  });
  addDrop(frame, keepFile);
  return {
    element: h('span', { class: 'widget-control' }, h('span', { class: 'image-bar' }, combo.element, upload, mask, chooser), well),
    field: combo.field,
    disable: (disabled) => void (upload.disabled = mask.disabled = disabled),
    show(value, isDefault) {
      combo.show(value, isDefault);
      mask.disabled = typeof value !== 'string' || value === '';
      showPicture(frame, picture, say, value);
    },
  };
}

/**
 * @param {Frame} frame
 * @param {HTMLImageElement} picture
 * @param {(text: string) => void} say
 * @param {Raw} value
 */
function showPicture(frame, picture, say, value) {
  const name = typeof value === 'string' ? unescape(value) : '';
  if (!name) {
    picture.removeAttribute('src');
    picture.hidden = true;
    return say(t('widget.image.drop'));
  }
  const source = smallOf(frame, name);
  if (picture.getAttribute('src') === source) return;
  picture.hidden = false;
  picture.alt = name;
  picture.src = source;
  say('');
}

/**
 * Bring a picture to the server and choose it.
 * @param {Frame} frame
 * @param {Blob} file
 * @param {string} called
 */
async function takeUpload(frame, file, called) {
  const { name } = await api.upload(file, called);
  addChoice(frame.app, name);
  frame.set(escape(name));
}

/**
 * Note that there is another picture to choose, wherever one is chosen.
 * @param {App} app
 * @param {string} name
 */
export function addChoice(app, name) {
  app.catalogue.update((catalogue) => ({
    ...catalogue,
    specs: new Map([...catalogue.specs].map(([type, spec]) => {
      if (!spec.inputs.some((input) => input.upload && !input.choices?.includes(name))) return [type, spec];
      const inputs = spec.inputs.map((input) => (input.upload ? { ...input, choices: [...new Set([...input.choices ?? [], name])].sort() } : input));
      return [type, { ...spec, inputs }];
    })),
  }));
}

/**
 * The first picture of what is dropped or pasted.
 * @param {DataTransfer | null} data
 */
function pictureIn(data) {
  return [...data?.files ?? []].find(({ type }) => type.startsWith('image/'));
}

/**
 * @param {Frame} frame
 * @param {(file: File, called: string) => void} keep
 */
function addDrop(frame, keep) {
  const { element } = frame;
  const mark = (/** @type {boolean} */ on) => element.classList.toggle('is-target', on);
  element.addEventListener('dragover', (event) => {
    if (frame.linked || !event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    event.stopPropagation();
    event.dataTransfer.dropEffect = 'copy';
    mark(true);
  });
  element.addEventListener('dragleave', () => mark(false));
  element.addEventListener('drop', (event) => {
    mark(false);
    const file = frame.linked ? undefined : pictureIn(event.dataTransfer);
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    keep(file, file.name);
  });
  element.addEventListener('paste', (event) => {
    const file = frame.linked ? undefined : pictureIn(event.clipboardData);
    if (!file) return;
    event.preventDefault();
    event.stopPropagation();
    keep(file, file.name || 'pasted.png');
  });
}

/**
 * @param {Frame} frame
 * @param {(file: Blob, called: string) => Promise<void>} keep
 */
async function editMask(frame, keep) {
  const { value } = frame;
  if (typeof value !== 'string' || value === '') return;
  const name = unescape(value);
  try {
    const { openMaskEditor } = await import('./mask/editor.js');
    const masked = await openMaskEditor(name, `${addressOf(name)}/file`);
    const stem = name.replace(/^.*\//, '').replace(/\.\w+$/, '').replace(/ \(\d+\)$/, '').replace(/-masked$/, '');
    if (masked) await keep(masked, `${stem}-masked.png`);
  } catch (error) {
    frame.app.sayError(error);
  }
}
