/**
 * A picture large, with what is known of it and what can be done with it.
 *
 * @module
 */

/** @import {App, Picture} from '../app.js' */
import { importFiles } from '../files.js';
import { addNode, setInput } from '../model/graph.js';
import { escape } from '../model/values.js';
import { BASE, api, request } from '../net/api.js';
import { writeExact } from '../net/exact.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';
import { showCompare } from './compare.js';
import { sizeText } from './thumbs.js';

/** The texts of a picture that hold a workflow, the best first. */
const WORKFLOWS = ['nodegraph', 'prompt', 'workflow'];
const LONGEST = 4000;

/**
 * Offer the action `gallery.show`: its event's `detail` has the pictures, and which of them is meant, by its place or itself.
 * @param {App} app
 */
export function addLightbox(app) {
  app.actions.add({
    id: 'gallery.show', label: 'panel.gallery', group: '',
    run: (event) => {
      const { pictures, picture, index } = /** @type {CustomEvent<{pictures: readonly Picture[], picture?: Picture, index?: number}>} */ (event).detail;
      if (pictures.length) new Lightbox(app, pictures, index ?? pictures.findIndex(({ file }) => file === picture?.file));
    },
  });
}

class Lightbox {
  /** @param {App} app @param {readonly Picture[]} pictures @param {number} index */
  constructor(app, pictures, index) {
    this.app = app;
    this.pictures = pictures;
    this.index = Math.min(Math.max(0, index), pictures.length - 1);
    this.title = h('h2', { id: 'lightbox-title' });
    this.image = h('img', { class: 'lightbox-image', draggable: false });
    this.facts = h('div', { class: 'lightbox-facts' });
    const step = (/** @type {number} */ by, /** @type {string} */ symbol, /** @type {string} */ label) =>
      iconButton(symbol, label, () => this.#go(by), { hidden: pictures.length < 2 });
    this.dialog = h('dialog', { class: 'lightbox', 'aria-labelledby': 'lightbox-title' },
      h('div', { class: 'lightbox-head' }, this.title, step(-1, 'arrow-left', t('gallery.previous')), step(1, 'arrow-right', t('gallery.next')),
        iconButton('close', t('dialog.close'), () => void this.dialog.close())),
      h('div', { class: 'lightbox-main' }, h('div', { class: 'lightbox-frame' }, this.image), this.facts));
    this.dialog.addEventListener('close', () => this.dialog.remove());
    this.dialog.addEventListener('keydown', (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (by && pictures.length > 1) this.#go(by);
    });
    document.body.append(this.dialog);
    this.#draw();
    this.dialog.showModal();
  }

  get picture() {
    return /** @type {Picture} */ (this.pictures[this.index]);
  }

  /** @param {number} by */
  #go(by) {
    this.index = (this.index + by + this.pictures.length) % this.pictures.length;
    this.#draw();
  }

  #draw() {
    const { picture } = this;
    this.title.textContent = this.pictures.length > 1 ? `${picture.name} (${this.index + 1}/${this.pictures.length})` : picture.name;
    this.image.src = picture.file;
    this.image.alt = picture.name;
    fill(this.facts, this.#tools(picture));
    void this.#read(picture);
  }

  /** @param {Picture} picture */
  #tools(picture) {
    const button = (/** @type {string} */ symbol, /** @type {string} */ label, /** @type {() => unknown} */ run) => h('button', { type: 'button', onclick: () => void run() }, icon(symbol), ' ', label);
    const before = this.pictures[(this.index + this.pictures.length - 1) % this.pictures.length];
    return h('div', { class: 'lightbox-tools' },
      button('workflows', t('gallery.workflow'), () => this.#openWorkflow(picture)),
      button('upload', t('gallery.send'), () => this.#send(picture)),
      before && before !== picture ? button('compare', t('gallery.compare.previous'), () => showCompare(before, picture)) : null,
      h('a', { class: 'button', href: picture.file, download: fileName(picture) }, icon('download'), ' ', t('gallery.download')));
  }

  /** @param {Picture} picture */
  async #read(picture) {
    const facts = await api.get(picture.file.replace(BASE, '').replace(/\/file(\?.*)?$/, '')).catch(() => null);
    if (!facts || this.picture !== picture || !this.dialog.isConnected) return;
    const entry = (/** @type {string} */ key, /** @type {Node | string} */ value) => [h('dt', {}, key), h('dd', {}, value)];
    const texts = Object.entries(facts.metadata).map(([key, value]) => metadata(key, value));
    this.facts.append(
      h('dl', {}, ...entry(t('gallery.size'), `${facts.width} × ${facts.height}`), ...entry(t('gallery.bytes'), sizeText(facts.size)),
        ...entry(t('gallery.made'), new Date(facts.modified * 1000).toLocaleString(this.app.language.get()))),
      ...(texts.length ? texts : [h('p', { class: 'hint' }, t('gallery.noMetadata'))]));
  }

  /** @param {Picture} picture */
  async #openWorkflow(picture) {
    try {
      const before = this.app.sessions.get().length;
      const bytes = await bytesOf(picture);
      await importFiles(this.app, [new File([bytes], fileName(picture), { type: bytes.type })]);
      if (this.app.sessions.get().length > before) this.dialog.close();
    } catch (error) {
      this.app.sayError(error);
    }
  }

  /** @param {Picture} picture */
  async #send(picture) {
    if (await sendToLoadImage(this.app, picture)) this.dialog.close();
  }
}

/**
 * A text of a picture: a short one as it is, a long one to be opened.
 * @param {string} key
 * @param {unknown} value
 */
function metadata(key, value) {
  const text = typeof value === 'string' ? value : writeExact(value, 2);
  const shown = text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text;
  return h('details', { open: !WORKFLOWS.includes(key) }, h('summary', {}, key), h('pre', {}, shown));
}

/** What a picture is called without its folder. @param {Picture} picture */
function fileName({ name }) {
  return name.slice(name.lastIndexOf('/') + 1);
}

/** The picture itself. @param {Picture} picture */
async function bytesOf(picture) {
  const response = await request('GET', picture.file, { headers: { Accept: '*/*' } });
  return response.blob();
}

/**
 * Make a picture that was made one that can be loaded, and have a LoadImage node load it: the selected one, or a new one.
 * @param {App} app
 * @param {Picture} picture
 * @returns {Promise<boolean>} whether it could be done
 */
async function sendToLoadImage(app, picture) {
  try {
    const kept = await api.upload(await bytesOf(picture), fileName(picture));
    app.actions.run('run.refresh', new CustomEvent('refresh', { detail: { quiet: true } }));
    const id = loadPicture(app, kept.name);
    if (id === null) return false;
    app.announce(t('gallery.sent', { node: id }));
    app.actions.run('view.focus', new CustomEvent('focus', { detail: { id } }));
    return true;
  } catch (error) {
    app.sayError(error);
    return false;
  }
}

/** @param {App} app @param {string} file */
function loadPicture(app, file) {
  const session = app.session.get();
  const selected = [...session.selection.get()].filter((key) => session.graph.get().nodes.get(key)?.uses === 'LoadImage');
  let id = selected.length === 1 ? selected[0] ?? null : null;
  const value = escape(file);
  const done = session.edit('gallery.send', (graph) => {
    if (id !== null) return setInput(graph, id, 'image', value);
    const added = addNode(graph, { id: 'source', uses: 'LoadImage', inputs: new Map([['image', value]]) }, app.middle());
    id = added.id;
    return added.graph;
  });
  if (!done && !session.editable) {
    app.say('error', t('gallery.cannotEdit'), { hint: t('run.unreadable.hint') });
    return null;
  }
  return id;
}
