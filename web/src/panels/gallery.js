/**
 * The pictures that were made, newest first.
 *
 * @module
 */

/** @import {App, Picture} from '../app.js' */
/** @import {Scope} from './scope.js' */
import { api } from '../net/api.js';
import { pictureAt } from '../net/tracker.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { fillPages } from './buttons.js';
import { showCompare } from './compare.js';
import { soon } from './scope.js';
import { show, thumb } from './thumbs.js';

const PAGE = 48;

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  new Gallery(app, body, scope);
}

class Gallery {
  /** @param {App} app @param {HTMLElement} body @param {Scope} scope */
  constructor(app, body, scope) {
    this.app = app;
    this.scope = scope;
    this.offset = 0;
    this.total = 0;
    /** @type {Picture[]} */
    this.pictures = [];
    /** The pictures to compare, or null while none are chosen. @type {Picture[] | null} */
    this.chosen = null;
    this.compare = h('button', { type: 'button', onclick: () => this.#toggleCompare() }, icon('compare'), ' ', t('gallery.compare'));
    this.note = h('p', { class: 'hint', role: 'status' });
    this.grid = h('div', { class: 'thumbs', role: 'group', 'aria-label': t('panel.gallery') });
    this.pages = h('div', { class: 'pages' });
    fill(body, h('div', { class: 'panel-tools' }, this.compare), this.note, this.grid, this.pages);
    const refresh = soon(() => void this.refresh(), 200, scope);
    scope.on(app.event, (event) => {
      if (event?.data.files?.length) refresh();
    });
    scope.on(app.online, (online) => online && refresh());
    void this.refresh();
  }

  /** Read the page that is shown anew. */
  async refresh() {
    try {
      const { files, total } = await api.get('outputs', { offset: this.offset, limit: PAGE });
      if (this.scope.isOver) return;
      this.total = total;
      this.pictures = files.map((/** @type {any} */ row) => pictureAt(row, Math.round(row.modified * 1000)));
      this.#draw();
    } catch (error) {
      if (!this.scope.isOver && this.app.online.get()) this.app.sayError(error);
    }
  }

  #draw() {
    this.compare.disabled = this.total < 2;
    this.compare.setAttribute('aria-pressed', String(this.chosen !== null));
    this.note.textContent = this.chosen ? t('gallery.compare.choose', { count: 2 - this.chosen.length }) : '';
    if (!this.total) fill(this.grid, h('p', { class: 'empty' }, t('gallery.empty')));
    else fill(this.grid, ...this.pictures.map((picture, i) => this.#item(picture, i)));
    fillPages(this.pages, { offset: this.offset, size: PAGE, total: this.total }, (offset) => {
      this.offset = offset;
      void this.refresh();
    });
  }

  /** @param {Picture} picture @param {number} index */
  #item(picture, index) {
    const button = thumb(this.app, this.pictures, index, { onPress: () => this.#press(index) });
    if (this.chosen) button.setAttribute('aria-pressed', String(this.chosen.some(({ id }) => id === picture.id)));
    return h('figure', {}, button, h('figcaption', { title: picture.name }, picture.name));
  }

  /** @param {number} index */
  #press(index) {
    const picture = /** @type {Picture} */ (this.pictures[index]);
    if (!this.chosen) {
      show(this.app, this.pictures, index);
      return;
    }
    const others = this.chosen.filter(({ id }) => id !== picture.id);
    this.chosen = others.length < this.chosen.length ? others : [...others, picture];
    const [first, second] = this.chosen;
    if (first && second) {
      this.chosen = null;
      showCompare(first, second);
    }
    this.#draw();
  }

  #toggleCompare() {
    this.chosen = this.chosen ? null : [];
    this.#draw();
  }
}
