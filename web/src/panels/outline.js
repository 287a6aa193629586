/**
 * All nodes in the order in which they run, as a list: what the canvas shows, for those who do not see it or do not use a
 * pointer. Arrow keys go through the nodes, Enter shows one on the canvas, → opens what belongs to it: its links, and for
 * each output the inputs that it fits.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Graph, Node as GraphNode, NodeSpec} from '../model/types.js' */
/** @import {Scope} from './scope.js' */
import { accepts, outputName, sourceOf, specOf } from '../model/catalogue.js';
import { connect, setInput } from '../model/graph.js';
import { ancestors, runningOrder } from '../model/order.js';
import { refOf } from '../model/values.js';
import { problemsAt } from '../net/check.js';
import { fill, h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { inputsOf } from '../view/geometry.js';
import { iconButton } from './buttons.js';
import { soon } from './scope.js';

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  new Outline(app, body, scope);
}

class Outline {
  /** @param {App} app @param {HTMLElement} body @param {Scope} scope */
  constructor(app, body, scope) {
    this.app = app;
    /** The node that the keys are at, and whether what belongs to it is shown. @type {string | null} */
    this.current = null;
    this.isOpen = false;
    /** Whether the focus is only being given back to what had it. */
    this.isDrawing = false;
    this.list = h('ol', { class: 'outline', 'aria-label': t('panel.outline') });
    fill(body, h('p', { class: 'hint' }, t('outline.how')), this.list);
    this.list.addEventListener('keydown', (event) => this.#key(event));
    this.list.addEventListener('focusin', ({ target }) => {
      const id = target instanceof HTMLElement && target.classList.contains('outline-node') ? target.dataset.node : undefined;
      if (id === undefined || id === this.current || this.isDrawing) return;
      for (const button of this.list.querySelectorAll('.outline-node')) if (button instanceof HTMLElement) button.tabIndex = button === target ? 0 : -1;
      this.isOpen = false;
      this.current = id;
    });
    const later = soon(() => this.draw(), 60, scope);
    const states = soon(() => this.#drawStates(), 100, scope);
    scope.within(app.session, (session) => {
      this.draw();
      // Places are not shown here, and change with each frame while something is dragged.
      const changed = session.graph.subscribe((graph, before) => {
        if (graph.nodes !== before.nodes) this.draw();
      });
      return [changed, session.selection.subscribe(later)];
    });
    for (const signal of /** @type {import('../util/signal.js').Signal<unknown>[]} */ ([app.catalogue, app.problems, app.plan])) scope.on(signal, later);
    scope.on(app.run, states);
  }

  get graph() {
    return this.app.session.get().graph.get();
  }

  draw() {
    const order = runningOrder(this.graph);
    if (this.current === null || !this.graph.nodes.has(this.current)) this.current = order[0] ?? null;
    const focus = this.list.contains(document.activeElement) ? focusKey() : null;
    if (!order.length) {
      fill(this.list, h('li', { class: 'empty' }, t('outline.empty')));
      return;
    }
    fill(this.list, ...order.map((id, i) => this.#row(/** @type {GraphNode} */ (this.graph.nodes.get(id)), i + 1)));
    if (!focus) return;
    this.isDrawing = true;
    /** @type {HTMLElement | null} */ (this.list.querySelector(`[data-key="${CSS.escape(focus)}"]`) ?? this.#button())?.focus();
    this.isDrawing = false;
  }

  #button() {
    return /** @type {HTMLElement | null} */ (this.list.querySelector('.outline-node[tabindex="0"]'));
  }

  /** @param {GraphNode} node @param {number} number */
  #row(node, number) {
    const { app, graph } = this;
    const isCurrent = node.id === this.current;
    const isOpen = isCurrent && this.isOpen;
    const spec = specOf(app.catalogue.get(), node, graph);
    const words = this.#words(node);
    const selected = app.session.get().selection.get().has(node.id);
    const button = h('button', {
      type: 'button', class: 'outline-node', dataset: { key: `node ${node.id}`, node: node.id }, tabIndex: isCurrent ? 0 : -1, 'aria-expanded': String(isOpen),
      'aria-current': selected ? 'true' : undefined, onclick: () => this.#press(node.id),
    }, h('span', { class: 'outline-number' }, `${number}.`), h('span', { class: 'outline-name' }, node.title ?? node.id),
    h('span', { class: 'hint' }, spec.display_name), h('span', { class: 'outline-states' }, ...states(words)));
    return h('li', { class: isOpen ? 'open' : '' }, button, isOpen ? this.#details(node, spec) : null);
  }

  /** Bring the states up to date in rows that stay, as a run goes on. */
  #drawStates() {
    for (const button of this.list.querySelectorAll('.outline-node')) {
      const node = this.graph.nodes.get(/** @type {HTMLElement} */ (button).dataset.node ?? '');
      const place = button.querySelector('.outline-states');
      if (!node || !place) continue;
      const words = this.#words(node);
      if (place.textContent !== words.map(({ text }) => text).join('')) fill(place, ...states(words));
    }
  }

  /** What is the matter with a node, in words. @param {GraphNode} node @returns {Words} */
  #words(node) {
    const { app } = this;
    /** @type {Words} */
    const words = [];
    if (node.mode !== 'run') words.push({ text: t(`outline.${node.mode}`), tone: 'quiet' });
    const count = problemsAt(app.problems.get(), node.id).length;
    if (count) words.push({ text: t('outline.problems', { count }), tone: 'bad' });
    const run = app.run.get().nodes.get(node.id);
    const percent = run?.total ? ` ${Math.round(((run.value ?? 0) / run.total) * 100)} %` : '';
    if (run) words.push({ text: t(`outline.run.${run.state}`) + percent, tone: run.state });
    else if (app.plan.get().get(node.id)?.runs === false) words.push({ text: t('outline.kept'), tone: 'quiet' });
    return words;
  }

  /** @param {GraphNode} node @param {NodeSpec} spec */
  #details(node, spec) {
    const { app } = this;
    const problems = problemsAt(app.problems.get(), node.id);
    const plan = app.plan.get().get(node.id)?.text;
    return h('div', { class: 'outline-details' },
      ...problems.map((problem) => h('p', { class: 'fault' }, problem.message, problem.hint ? h('span', { class: 'hint' }, ` ${problem.hint}`) : null)),
      plan ? h('p', { class: 'hint' }, plan) : null,
      h('ul', { class: 'plain' }, ...inputsOf(spec, node).map((input) => this.#input(node, input.name))),
      ...spec.outputs.map((output, index) => this.#output(node, spec, output.name, output.type, index)));
  }

  /** An input that a link arrives at, as text. @param {GraphNode} node @param {string} name */
  #input(node, name) {
    const value = node.inputs.get(name);
    const source = sourceOf(this.app.catalogue.get(), this.graph, value);
    if (!source) return null;
    const from = `${source.node.title ?? source.node.id} · ${source.output?.name ?? refOf(value)?.output ?? ''}`;
    const cut = () => {
      this.app.session.get().edit('outline.disconnect', (graph) => setInput(graph, node.id, name, undefined));
      this.app.announce(t('outline.disconnected', { input: name, node: node.id }));
    };
    return h('li', {}, h('span', {}, `${name} ← `),
      h('button', { type: 'button', class: 'link', dataset: { key: `from ${name}` }, onclick: () => this.#go(source.node.id) }, from),
      iconButton('close', t('outline.cut', { input: name }), cut, { dataset: { key: `cut ${name}` } }));
  }

  /** An output: where it goes, and a list of where it could. @param {GraphNode} node @param {NodeSpec} spec @param {string} name @param {string} type @param {number} index */
  #output(node, spec, name, type, index) {
    const catalogue = this.app.catalogue.get();
    const targets = fitting(this.app, this.graph, node.id, type);
    const takers = [...this.graph.nodes.values()].flatMap((other) => [...other.inputs]
      .filter(([, value]) => {
        const source = sourceOf(catalogue, this.graph, value);
        return source?.node.id === node.id && source.index === index;
      })
      .map(([input]) => ({ id: other.id, input, title: other.title ?? other.id })));
    const select = h('select', {
      dataset: { key: `to ${name}` }, 'aria-label': t('outline.connect', { output: name }), disabled: targets.length === 0,
      onchange: () => this.#connect(node, outputName(spec, index), name, targets[Number(select.value)]),
    }, h('option', { value: '' }, t(targets.length ? 'outline.connectTo' : 'outline.nothingFits')),
    ...targets.map((target, i) => h('option', { value: String(i) }, `${target.title} · ${target.input}${target.taken ? ` (${t('outline.taken')})` : ''}`)));
    return h('div', { class: 'outline-output' }, h('span', {}, `${name} →`),
      ...takers.map(({ id, input, title }) => h('button', { type: 'button', class: 'link', dataset: { key: `at ${name} ${id}.${input}` }, onclick: () => this.#go(id) }, `${title} · ${input}`)), select);
  }

  /** @param {GraphNode} node @param {string | null} output @param {string} shown @param {Target | undefined} target */
  #connect(node, output, shown, target) {
    if (!target) return;
    const done = this.app.session.get().edit('outline.connected.label', (graph) => connect(graph, { from: node.id, output, to: target.id, input: target.input }));
    if (done) this.app.announce(t('outline.connected', { from: `${node.title ?? node.id} ${shown}`, to: `${target.title} ${target.input}` }));
    else this.app.say('error', t('gallery.cannotEdit'), { hint: t('run.unreadable.hint') });
  }

  /** @param {string} id */
  #press(id) {
    this.current = id;
    this.app.session.get().selection.set(new Set([id]));
    this.app.actions.run('view.focus', new CustomEvent('focus', { detail: { id } }));
    this.draw();
    this.#button()?.focus();
  }

  /** @param {string} id */
  #go(id) {
    this.current = id;
    this.draw();
    this.#button()?.focus();
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (!target.classList.contains('outline-node') || event.altKey || event.ctrlKey || event.metaKey) return;
    const order = runningOrder(this.graph);
    const at = order.indexOf(this.current ?? '');
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: order.length - 1 }[event.key];
    if (to !== undefined) this.#go(order[Math.min(order.length - 1, Math.max(0, to))] ?? '');
    else if (event.key === 'ArrowRight' || event.key === 'ArrowLeft') {
      this.isOpen = event.key === 'ArrowRight';
      this.draw();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }
}

/** @typedef {{text: string, tone: string}[]} Words */

/** @param {Words} words */
function states(words) {
  return words.map(({ text, tone }) => h('span', { class: `outline-state ${tone}` }, text));
}

/** @typedef {{id: string, input: string, title: string, taken: boolean}} Target */

/**
 * The inputs that an output of a type may feed, in running order; none that would make a circle.
 * @param {App} app
 * @param {Graph} graph
 * @param {string} from
 * @param {string} type
 * @returns {Target[]}
 */
export function fitting(app, graph, from, type) {
  const before = ancestors(graph, from);
  return runningOrder(graph).flatMap((id) => {
    if (id === from || before.has(id)) return [];
    const node = /** @type {GraphNode} */ (graph.nodes.get(id));
    const spec = specOf(app.catalogue.get(), node, graph);
    return spec.inputs.filter((input) => accepts(input.type, type) && refOf(node.inputs.get(input.name))?.name !== from)
      .map((input) => ({ id, input: input.name, title: node.title ?? id, taken: refOf(node.inputs.get(input.name)) !== null }));
  });
}

function focusKey() {
  const { activeElement } = document;
  return activeElement instanceof HTMLElement ? activeElement.dataset.key ?? null : null;
}
