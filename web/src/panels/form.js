/**
 * The parameters of the workflow as a simple form, with the pictures of the run beside it, for those who do not want the
 * graph. Each parameter may take several values at once: then all of them run, and a sheet shows their pictures.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Graph, Scalar} from '../model/types.js' */
/** @import {Scope} from './scope.js' */
import { setParam } from '../model/graph.js';
import { writeExact } from '../net/exact.js';
import { fractionOf, isOpen } from '../net/tracker.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { factsOf, makeField } from './form_field.js';
import { thumb } from './thumbs.js';

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  new Form(app, body, scope);
}

class Form {
  /** @param {App} app @param {HTMLElement} body @param {Scope} scope */
  constructor(app, body, scope) {
    this.app = app;
    /** The texts of several values, by parameter. @type {Map<string, {kind: import('./form_field.js').Facts['kind'], text: string}>} */
    this.several = new Map();
    /** @type {Map<string, (value: Scalar | undefined) => void>} */
    this.setters = new Map();
    /** What the fields were made from. */
    this.made = '';
    this.about = h('div', { class: 'form-about' });
    this.fields = h('div', { class: 'form-fields' });
    this.run = h('button', { type: 'submit', class: 'primary form-run' });
    const form = h('form', { class: 'form', onsubmit: (/** @type {Event} */ event) => this.#submit(event) }, this.about, this.fields, this.run);
    fill(body, form);
    this.results = new Results(app, scope);
    scope.within(app.session, (session) => {
      this.several.clear();
      this.made = '';
      this.draw();
      return [session.graph.subscribe((graph, before) => {
        const isSame = graph.nodes === before.nodes && graph.params === before.params && graph.name === before.name && graph.description === before.description;
        if (!isSame) this.draw();
      })];
    });
    scope.on(app.catalogue, () => this.draw());
  }

  draw() {
    const graph = this.app.session.get().graph.get();
    const facts = [...graph.params.values()].map((param) => factsOf(this.app, graph, param));
    // Fields are made anew only when there are others, so that nobody loses what they are typing in.
    const shape = writeExact([graph.name, graph.description, facts.map(({ param, ...rest }) => [param.name, rest])]);
    if (shape !== this.made) {
      this.made = shape;
      this.setters.clear();
      fill(this.about, h('h3', {}, graph.name ?? (this.app.session.get().file.get().label || t('file.untitled'))), graph.description ? h('p', {}, graph.description) : null);
      fill(this.fields, ...facts.map((each) => this.#row(each)), facts.length ? null : h('p', { class: 'empty' }, t('form.empty')));
    }
    for (const { param } of facts) this.setters.get(param.name)?.(param.value);
    this.#drawRun();
  }

  #drawRun() {
    const isSweep = this.several.size > 0;
    fill(this.run, icon('play'), ' ', t(isSweep ? 'form.sweep' : 'run.button'));
  }

  /** @param {import('./form_field.js').Facts} facts */
  #row(facts) {
    const { param } = facts;
    const id = `param-${param.name}`;
    const { element, set } = makeField(facts, id, (value) => this.#change(param.name, value));
    this.setters.set(param.name, set);
    const range = facts.min !== undefined && facts.max !== undefined && !facts.seed ? t('form.range', { min: String(facts.min), max: String(facts.max) }) : '';
    const several = facts.kind === 'toggle' ? null : this.#severalField(facts, element);
    return h('div', { class: `form-row ${facts.kind}` }, h('label', { for: id }, param.name), element,
      facts.help || range ? h('p', { class: 'hint' }, [facts.help, range].filter(Boolean).join(' · ')) : null, several);
  }

  /** @param {import('./form_field.js').Facts} facts @param {HTMLElement} single */
  #severalField({ param, kind, choices }, single) {
    const example = kind === 'integer' || kind === 'number' ? '1, 2, 3 · 1..4' : choices.length ? choices.slice(0, 2).map(String).join(', ') : t('form.several.texts');
    const field = h('input', { type: 'text', 'aria-label': t('form.several.values', { name: param.name }), placeholder: example, hidden: true, spellcheck: false });
    const toggle = h('button', { type: 'button', class: 'link several', 'aria-expanded': 'false', 'aria-label': t('form.several.label', { name: param.name }) }, t('form.several'));
    toggle.addEventListener('click', () => {
      const isOn = field.hidden;
      field.hidden = !isOn;
      single.hidden = isOn;
      toggle.setAttribute('aria-expanded', String(isOn));
      toggle.textContent = t(isOn ? 'form.several.one' : 'form.several');
      if (isOn) {
        field.value ||= param.value === undefined || param.value === null ? '' : String(this.app.session.get().graph.get().params.get(param.name)?.value ?? '');
        this.several.set(param.name, { kind, text: field.value });
        field.focus();
      } else this.several.delete(param.name);
      this.#drawRun();
    });
    field.addEventListener('input', () => this.several.set(param.name, { kind, text: field.value }));
    return h('div', { class: 'form-several' }, field, toggle);
  }

  /** @param {string} name @param {Scalar} value */
  #change(name, value) {
    this.app.session.get().edit('form.change', (graph) => setParam(graph, name, value), { merge: `form-${name}` });
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const wrong = this.fields.querySelector('[aria-invalid="true"]');
    if (wrong instanceof HTMLElement && !wrong.closest('[hidden]')) return wrong.focus();
    if (!this.several.size) return void this.app.actions.run('run.queue');
    const over = Object.fromEntries([...this.several].map(([name, { kind, text }]) => [name, valuesOf(kind, text)]));
    this.app.actions.run('run.sweep', new CustomEvent('sweep', { detail: { over } }));
    return undefined;
  }
}

/**
 * Several values as the server takes them. Numbers are read there, ranges too; texts are parted by a semicolon, since they
 * have commas inside.
 * @param {import('./form_field.js').Facts['kind']} kind
 * @param {string} text
 */
export function valuesOf(kind, text) {
  if (kind === 'integer' || kind === 'number') return text.replace(/\s*[,;]\s*/g, ',').trim();
  return text.split(kind === 'choice' ? /[,;\n]/ : /[;\n]/).map((one) => one.trim()).filter(Boolean);
}

/** The pictures of the run, large, over the canvas. */
class Results {
  /** @param {App} app @param {Scope} scope */
  constructor(app, scope) {
    this.app = app;
    this.pictures = h('div', { class: 'form-pictures' });
    this.state = h('div', { class: 'form-state', role: 'status' });
    this.bar = h('progress', { max: 1, 'aria-label': t('run.progress') });
    const graph = h('button', { type: 'button', onclick: () => app.set({ side: null }) }, t('form.showGraph'));
    this.element = h('section', { class: 'form-results', 'aria-label': t('form.results') }, h('div', { class: 'form-results-head' }, this.state, this.bar, graph), this.pictures);
    const main = document.getElementById('main');
    document.getElementById('stage')?.before(this.element);
    main?.classList.add('app-view');
    scope.add(() => {
      this.element.remove();
      main?.classList.remove('app-view');
    });
    /** What the shown pictures are, so that they are not loaded again. */
    this.shown = '';
    scope.on(app.run, () => this.draw());
  }

  draw() {
    const run = this.app.run.get();
    this.bar.hidden = !isOpen(run);
    this.bar.value = fractionOf(run);
    const text = run.state === 'none' ? t('form.none') : t(`queue.state.${run.state}`);
    const failed = run.problems[0];
    const words = run.state === 'failed' && failed ? `${text}: ${failed.message}${failed.hint ? ` ${failed.hint}` : ''}` : text;
    if (this.state.textContent !== words) this.state.textContent = words;
    // A sheet comes last in running order, and first for whoever looks.
    const nodes = [...run.nodes.values()].filter((node) => node.pictures?.length).reverse();
    const pictures = nodes.flatMap((node) => node.pictures ?? []);
    const preview = isOpen(run) ? [...run.nodes.values()].find((node) => node.preview)?.preview : undefined;
    const shown = [preview ?? '', ...pictures.map(({ file }) => file)].join('\n');
    if (shown === this.shown || (isOpen(run) && !preview && !pictures.length)) return;
    this.shown = shown;
    fill(this.pictures, preview ? h('img', { class: 'form-preview', src: preview, alt: t('form.preview') }) : null, ...pictures.map((_, i) => thumb(this.app, pictures, i, { large: true })));
  }
}
