/**
 * The pictures that a node shows below its widgets: what it makes at the moment, or what it made.
 *
 * @module
 */

/** @import {App, NodeRun, Picture} from '../app.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';

const MOST = 9;

export class Pictures {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.frame = h('div', { class: 'pictures-frame' });
    this.caption = h('div', { class: 'pictures-size' });
    this.element = h('div', { class: 'node-pictures' }, this.frame, this.caption);
    /** @type {HTMLImageElement | null} */
    this.preview = null;
    /** @type {readonly Picture[] | undefined} */
    this.shown = undefined;
  }

  /**
   * @param {string} id
   * @param {{y: number, height: number}} place
   * @param {NodeRun | undefined} run
   */
  update(id, { y, height }, run) {
    this.element.style.top = `${y}px`;
    this.element.style.height = `${height}px`;
    if (run?.preview && run.state === 'running') this.#showPreview(run.preview);
    else if (run?.pictures?.length) this.#showPictures(id, run.pictures);
  }

  /** One image changes its address, so that nothing flickers. @param {string} address */
  #showPreview(address) {
    if (!this.preview) {
      const image = h('img', { alt: t('view.preview'), draggable: false });
      image.addEventListener('load', () => void (this.caption.textContent = sizeText(image.naturalWidth, image.naturalHeight)));
      this.preview = image;
      this.shown = undefined;
      this.frame.replaceChildren(image);
    }
    if (this.preview.getAttribute('src') !== address) this.preview.src = address;
  }

  /**
   * @param {string} id
   * @param {readonly Picture[]} pictures
   */
  #showPictures(id, pictures) {
    if (this.shown === pictures) return;
    this.shown = pictures;
    this.preview = null;
    const shown = pictures.slice(0, MOST);
    this.frame.dataset.columns = String(Math.ceil(Math.sqrt(shown.length)));
    this.frame.replaceChildren(...shown.map((picture) => this.#button(id, picture, pictures)));
    const first = /** @type {Picture} */ (shown[0]);
    const more = pictures.length > MOST ? ` ${t('view.more', { count: pictures.length - MOST })}` : '';
    this.caption.textContent = sizeText(first.width, first.height) + more;
  }

  /**
   * @param {string} id
   * @param {Picture} picture
   * @param {readonly Picture[]} pictures
   */
  #button(id, picture, pictures) {
    const image = h('img', { src: picture.thumbnail, alt: '', draggable: false, decoding: 'async' });
    const show = () => this.app.actions.run('gallery.show', new CustomEvent('show', { detail: { picture, pictures, node: id } }));
    return h('button', { class: 'picture', type: 'button', 'aria-label': t('view.picture', { name: picture.name }), onclick: show }, image);
  }
}

/**
 * @param {number} width
 * @param {number} height
 */
function sizeText(width, height) {
  return width && height ? `${width} × ${height}` : '';
}
