/**
 * The text beside the canvas: the same document. Either side may be edited; undo is the session's.
 *
 * CodeMirror is loaded when the panel is first shown. An action tells the panel where to go:
 *
 *     app.actions.run('yaml.reveal', new CustomEvent('reveal', { detail: { line: 3, column: 5 } }));
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {EditorState} from '../../vendor/codemirror.js' */
import { fill, h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { widthEdge } from './edge.js';
import { Editor } from './yaml/editor.js';

const MIN_WIDTH = 240;
/** What stays for the canvas. */
const CANVAS_WIDTH = 320;

/**
 * @param {App} app
 * @param {HTMLElement} element
 */
export function mountYaml(app, element) {
  const panel = new YamlPanel(app, element);
  app.actions.add(
    {
      id: 'yaml.toggle',
      label: 'yaml.toggle',
      group: 'menu.view',
      keys: ['Alt+KeyY'],
      anywhere: true,
      run: () => app.set({ yaml: !app.settings.get().yaml }),
      checked: () => app.settings.get().yaml,
    },
    {
      id: 'yaml.reveal',
      label: 'yaml.reveal',
      group: '',
      run: (event) => panel.reveal(/** @type {any} */ (event)?.detail),
    },
  );
}

class YamlPanel {
  /**
   * @param {App} app
   * @param {HTMLElement} element
   */
  constructor(app, element) {
    this.app = app;
    this.element = element;
    this.body = h('div', { class: 'yaml-body' });
    this.status = h('div', { class: 'yaml-status', role: 'status', hidden: true });
    /** @type {Promise<Editor> | null} */
    this.loading = null;
    /** @type {Editor | null} */
    this.editor = null;
    /** The session that is shown. @type {Session | null} */
    this.session = null;
    /** @type {(() => void)[]} */
    this.bound = [];
    /** Whether the cursor goes where the text changes. */
    this.follow = false;
    /** What the editor was at for the sessions that are not shown. @type {WeakMap<Session, EditorState>} */
    this.states = new WeakMap();
    element.setAttribute('aria-label', t('yaml.title'));
    const most = () => Math.max(MIN_WIDTH, window.innerWidth - CANVAS_WIDTH);
    const edge = widthEdge(app, element, { side: 'left', setting: 'yamlWidth', label: t('yaml.width'), least: MIN_WIDTH, most });
    fill(element, edge, this.#head(), this.body, this.status);
    app.settings.subscribe(() => this.#fit(), true);
    app.session.subscribe(() => this.#bind());
    app.problems.subscribe(() => this.#showProblems());
  }

  get isShown() {
    return this.app.settings.get().yaml;
  }

  /** @param {{line?: number, column?: number} | undefined} place */
  async reveal(place) {
    this.app.set({ yaml: true });
    const editor = await this.#load();
    editor?.goTo(place?.line ?? 1, place?.column);
  }

  /** Show or hide it, as wide as is wanted. */
  #fit() {
    const { yaml, yamlWidth } = this.app.settings.get();
    this.element.hidden = !yaml;
    this.element.style.width = `${Math.max(MIN_WIDTH, yamlWidth)}px`;
    if (yaml) void this.#load().then(() => this.#bind());
    else this.#unbind();
  }

  #load() {
    this.loading ??= import('../../vendor/codemirror.js').then(
      (cm) => {
        fill(this.body);
        this.editor = new Editor(cm, this.body, this.#owner());
        return this.editor;
      },
      (error) => {
        this.loading = null;
        fill(
          this.body,
          h('p', { class: 'yaml-failed' }, t('yaml.failed')),
          h('button', { onclick: () => this.#fit() }, t('yaml.again')),
        );
        throw error;
      },
    );
    return this.loading.catch(() => null);
  }

  /** @returns {import('./yaml/editor.js').Owner} */
  #owner() {
    const { app } = this;
    return {
      catalogue: () => app.catalogue.get(),
      graph: () => app.session.get().graph.get(),
      index: (text) => {
        const { read } = app.session.get();
        return read.text === text ? read.index : null;
      },
      edited: (text) => this.session?.editText(text),
      moved: (node) => this.#moved(node),
      undo: () => this.#travel((session) => session.undo()),
      redo: () => this.#travel((session) => session.redo()),
    };
  }

  /**
   * Undo or redo, and put the cursor where something changed.
   * @param {(session: Session) => string | null} step
   */
  #travel(step) {
    const { session, editor } = this;
    if (!session || !editor) return;
    this.follow = true;
    step(session);
    session.flush();
    this.follow = false;
  }

  /** Follow the session that is shown now. */
  #bind() {
    const { editor, app } = this;
    const session = app.session.get();
    if (!editor || !this.isShown || session === this.session) return;
    this.#unbind();
    this.session = session;
    const state = this.states.get(session) ?? editor.state(session.text.get());
    editor.view.setState(state);
    editor.setReadOnly(isJson(session));
    this.bound = [
      session.text.subscribe((text) => this.#showText(text), true),
      session.selection.subscribe((selection) => editor.showNodes(selection), true),
      session.file.subscribe(() => (editor.setReadOnly(isJson(session)), this.#showProblems())),
      session.textProblems.subscribe(() => this.#showProblems(), true),
    ];
  }

  #unbind() {
    for (const end of this.bound) end();
    this.bound = [];
    if (this.session && this.editor) this.states.set(this.session, this.editor.view.state);
    this.session = null;
  }

  /** @param {string} text */
  #showText(text) {
    const { editor, session } = this;
    if (!editor || !session) return;
    if (editor.text === text) return;
    editor.setText(text, { follow: this.follow });
    editor.showNodes(session.selection.get());
  }

  #showProblems() {
    const { editor, session, app } = this;
    if (!editor || !session) return;
    const own = session.textProblems.get();
    const first = own[0];
    const words = first
      ? t('yaml.unreadable', { line: first.line ?? 1, message: first.message })
      : isJson(session)
        ? t('yaml.readOnly')
        : '';
    this.status.hidden = words === '';
    this.status.classList.toggle('yaml-bad', first !== undefined);
    if (this.status.textContent !== words) this.status.textContent = words;
    editor.setProblems(own.length ? own : app.problems.get(), own.length === 0);
  }

  /**
   * Select the node that the cursor is in.
   * @param {string | null} node
   */
  #moved(node) {
    const { session } = this;
    if (!session || node === null || !session.graph.get().nodes.has(node)) return;
    const selection = session.selection.get();
    if (!selection.has(node) || selection.size > 1) session.selection.set(new Set([node]));
  }

  #head() {
    const close = h(
      'button',
      {
        class: 'yaml-close',
        'aria-label': t('yaml.hide'),
        title: t('yaml.hide'),
        onclick: () => this.app.set({ yaml: false }),
      },
      '×',
    );
    return h('div', { class: 'yaml-head' }, h('h2', {}, t('yaml.title')), close);
  }
}

/**
 * Whether a file is JSON, which is shown and not edited as text.
 * @param {Session} session
 */
function isJson(session) {
  return /\.json$/i.test(session.file.get().name ?? '');
}
