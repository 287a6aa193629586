/**
 * What all widgets have around their control: the input's name, whether a link or a parameter gives the value, the default
 * shown fainter, mistakes, and the menu.
 *
 * @module
 */

/** @import {Graph, InputSpec, Param, Raw, Scalar} from '../model/types.js' */
/** @import {Widget, WidgetContext} from './index.js' */
import { defaultOf, sourceOf } from '../model/catalogue.js';
import { setParam } from '../model/graph.js';
import { escaped, refOf, same } from '../model/values.js';
import { problemsAt } from '../net/check.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { openWidgetMenu, paramMenu } from './menus.js';
import { paramOf, toParamValue } from '../model/params.js';

/**
 * The part of a widget that differs by kind. `field` is what the label names and what gets the focus; `show` is given the
 * value that holds, which is the default's where the file gives none; `disable` is for what there is besides the field.
 * @typedef {{
 *   element: HTMLElement, field: HTMLElement, show: (value: Raw, isDefault: boolean) => void, destroy?: () => void,
 *   disable?: (disabled: boolean) => void,
 * }} Control
 */

let lastId = 0;
let lastMerge = 0;

/**
 * An input whose parameter allows less than the input does.
 * @param {InputSpec} input
 * @param {Param} param
 * @returns {InputSpec}
 */
function narrowed(input, { min, max, choices }) {
  if (min === undefined && max === undefined && !choices) return input;
  const least = min !== undefined && (input.min === undefined || min > input.min) ? min : input.min;
  const most = max !== undefined && (input.max === undefined || max < input.max) ? max : input.max;
  return { ...input, min: least, max: most, ...(choices ? { choices: /** @type {InputSpec['choices']} */ ([...choices]) } : {}) };
}

export class Frame {
  /** @param {WidgetContext} context */
  constructor(context) {
    this.context = context;
    this.app = context.app;
    /** @type {Raw | undefined} What the graph has. */
    this.raw = undefined;
    /** @type {Graph} */
    this.graph = context.session.graph.get();
    /** @type {Param | null} */
    this.param = null;
    this.linked = false;
    this.fault = '';
    lastId += 1;
    this.id = `widget-${lastId}`;
    this.name = h('label', { class: 'widget-name', for: this.id, title: context.input.help ?? context.input.name }, context.input.name);
    this.chip = h('button', { type: 'button', class: 'widget-chip', hidden: true, onclick: () => paramMenu(this, this.chip) });
    this.source = h('span', { class: 'widget-source', hidden: true });
    this.note = h('div', { class: 'widget-note', id: `${this.id}-note`, hidden: true });
    this.element = h('div', { class: `widget widget-${context.kind}`, dataset: { input: context.input.name } }, this.name, this.chip, this.source);
    this.#keepEvents();
  }

  /** The input as the catalogue has it now: its choices may have changed since the widget was made. @returns {InputSpec} */
  get input() {
    const { app, id, input } = this.context;
    const uses = this.graph.nodes.get(id)?.uses;
    const now = uses === undefined ? undefined : app.catalogue.get().specs.get(uses)?.inputs.find(({ name }) => name === input.name);
    return this.param ? narrowed(now ?? input, this.param) : now ?? input;
  }

  /** The value that holds; null where one has to be given and is not. @returns {Raw} */
  get value() {
    if (this.param) return escaped(this.param.value) ?? null;
    if (this.raw !== undefined) return this.raw;
    const { input } = this;
    return input.required && input.default === undefined ? null : defaultOf(input);
  }

  /** A name that makes the edits that follow one step. */
  newMerge() {
    lastMerge += 1;
    return `widget-${lastMerge}`;
  }

  /**
   * Write a value: into the file, or into the parameter that the input names. The default that the file does not give
   * stays away from it.
   * @param {Raw | undefined} value
   * @param {string} [merge]
   */
  set(value, merge) {
    this.say('');
    const { session, change } = this.context;
    const { param } = this;
    const before = this.raw;
    if (param && value !== undefined) {
      const scalar = toParamValue(value);
      if (scalar !== undefined) session.edit('widget.edit.param', (graph) => setParam(graph, param.name, /** @type {Scalar} */ (scalar)), { merge });
    } else if (this.raw !== undefined || !same(value, this.value)) {
      change(value, { merge });
    }
    // A text that cannot be read cannot be written either: what the widget shows goes back.
    if (!session.editable && this.raw === before) {
      this.control?.show(this.value, this.raw === undefined);
      this.say(t('widget.cannot'));
    }
  }

  /**
   * Say at the widget why what was typed is not taken; nothing takes it back.
   * @param {string} text
   */
  say(text) {
    this.fault = text;
    this.#showProblems();
  }

  /** Give the focus back to the node that the widget is in. */
  leave() {
    const outer = /** @type {HTMLElement | null | undefined} */ (this.element.parentElement?.closest('[tabindex]'));
    if (outer) outer.focus({ preventScroll: true });
    else if (document.activeElement instanceof HTMLElement) document.activeElement.blur();
  }

  /** @param {Control} control */
  attach(control) {
    this.control = control;
    control.field.id = this.id;
    this.name.after(control.element);
    this.element.append(this.note);
  }

  /**
   * @param {Raw | undefined} value
   * @param {Graph} graph
   */
  update(value, graph) {
    const { app, input } = this.context;
    this.graph = graph;
    this.raw = value;
    this.param = paramOf(graph, value);
    const ref = refOf(value);
    this.linked = ref !== null && this.param === null;
    this.element.classList.toggle('is-linked', this.linked);
    this.element.classList.toggle('is-default', value === undefined);
    this.chip.hidden = !this.param;
    this.source.hidden = !this.linked;
    if (this.param) {
      this.chip.textContent = `$${this.param.name}`;
      this.chip.setAttribute('aria-label', t('widget.param.chip', { name: this.param.name }));
      this.chip.title = this.param.description ?? t('widget.param.chip', { name: this.param.name });
    }
    const { control } = this;
    if (!control) return;
    if (this.linked && ref) {
      const source = sourceOf(app.catalogue.get(), graph, value);
      const output = source?.output && source.spec.outputs.length > 1 ? `.${source.output.name}` : ref.output ? `.${ref.output}` : '';
      this.source.textContent = `← ${ref.name}${output}`;
    }
    control.element.hidden = this.linked;
    control.field.toggleAttribute('disabled', this.linked);
    control.disable?.(this.linked);
    this.element.toggleAttribute('disabled', this.linked);
    control.field.setAttribute('aria-label', input.name);
    if (!this.linked) control.show(this.value, value === undefined);
    this.#showProblems();
  }

  #showProblems() {
    const { app, id, input } = this.context;
    const found = problemsAt(app.problems.get(), id).filter((problem) => problem.input === input.name);
    const texts = found.map(({ message, hint }) => (hint ? `${message}\n${hint}` : message));
    if (this.fault) texts.unshift(this.fault);
    const isWrong = this.fault !== '' || found.some(({ severity }) => severity !== 'warning');
    const field = this.control?.field;
    this.element.classList.toggle('has-fault', this.fault !== '');
    this.element.classList.toggle('is-wrong', isWrong);
    this.element.classList.toggle('is-doubtful', texts.length > 0 && !isWrong);
    this.note.textContent = texts.join('\n');
    this.note.hidden = texts.length === 0;
    this.note.setAttribute('role', this.fault ? 'alert' : 'note');
    if (isWrong) field?.setAttribute('aria-invalid', 'true');
    else field?.removeAttribute('aria-invalid');
    if (texts.length) field?.setAttribute('aria-describedby', this.note.id);
    else field?.removeAttribute('aria-describedby');
  }

  /** Pressing and typing in a widget is nothing to the canvas. */
  #keepEvents() {
    const { element } = this;
    const isOwn = (/** @type {Event} */ event) => event.target !== element && event.target !== this.name && event.target !== this.source;
    for (const type of ['pointerdown', 'dblclick']) {
      element.addEventListener(type, (event) => {
        if (isOwn(event)) event.stopPropagation();
      });
    }
    let byKey = false;
    element.addEventListener('keydown', (event) => {
      byKey = event.key === 'ContextMenu' || (event.shiftKey && event.key === 'F10');
    });
    element.addEventListener('contextmenu', (event) => {
      const { target } = event;
      const isText = target instanceof HTMLTextAreaElement || (target instanceof HTMLInputElement && /^(text|search)$/.test(target.type));
      event.stopPropagation();
      // In a text that is being edited the browser's own menu has what is needed: paste, spelling.
      if (isText && document.activeElement === target && !byKey) return;
      event.preventDefault();
      openWidgetMenu(this, byKey || (event.clientX === 0 && event.clientY === 0) ? {} : { x: event.clientX, y: event.clientY });
      byKey = false;
    });
  }

  /** @returns {Widget} */
  widget() {
    return {
      element: this.element,
      update: (value, graph) => this.update(value, graph),
      destroy: () => this.control?.destroy?.(),
    };
  }
}
