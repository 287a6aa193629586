/**
 * A row of a node on the page: the sockets at its edges, and between them the name of an input, its widget, or what the
 * input is driven by.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Catalogue} from '../model/catalogue.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph, InputSpec, OutputSpec, Problem, Raw} from '../model/types.js' */
/** @import {Row} from './geometry.js' */
/** @import {NodeBox} from './scene.js' */
import { colourOf, isWidget } from '../model/catalogue.js';
import { setInput } from '../model/graph.js';
import { refOf } from '../model/values.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { makeWidget } from '../widgets/index.js';

/** @typedef {{app: App, session: Session}} Host */

/** Names that surely fit. What is cut off costs a layer of its own when it is drawn, so only longer ones are. */
const SHORT = 13;

/**
 * How a row shows what an input gets: by its widget, which shows links and parameters too, or in words.
 * @typedef {'link' | 'param' | 'widget' | 'socket'} Source
 */

/**
 * @param {InputSpec} input
 * @param {Raw | undefined} value
 * @param {Graph} graph
 * @returns {Source}
 */
function sourceKind(input, value, graph) {
  if (isWidget(input)) return 'widget';
  const ref = refOf(value);
  if (!ref) return 'socket';
  return graph.nodes.has(ref.name) ? 'link' : 'param';
}

/** @param {Row} row */
export function rowKey({ input, output, widget }) {
  return `${input?.name ?? ''}\n${output ?? ''}\n${widget ?? ''}`;
}

export class RowView {
  /**
   * @param {Host} host
   * @param {NodeBox} box
   * @param {Row} row
   */
  constructor(host, box, row) {
    this.host = host;
    this.id = box.id;
    this.input = row.input;
    this.widgetKind = row.widget;
    this.output = row.output === null ? null : box.spec.outputs[row.output] ?? null;
    this.element = h('div', { class: 'node-row' });
    this.body = h('div', { class: 'row-body' });
    const catalogue = host.app.catalogue.get();
    if (row.input) {
      this.inSocket = inputSocket(row.input, catalogue);
      this.element.append(this.inSocket);
    }
    this.element.append(this.body);
    if (this.output) {
      this.outSocket = outputSocket(this.output, /** @type {number} */ (row.output), catalogue);
      this.element.append(h('span', { class: this.output.name.length > SHORT ? 'row-out long' : 'row-out', textContent: this.output.name }), this.outSocket);
    }
    /** @type {Source | null} */
    this.source = null;
    /** The words that are shown. @type {string | undefined} */
    this.shown = undefined;
    /** @type {import('../widgets/index.js').Widget | null} */
    this.widget = null;
    /** @type {Raw | undefined} */
    this.value = undefined;
    /** @type {Graph['params'] | null} */
    this.params = null;
    /** @type {readonly Problem[]} */
    this.problems = [];
    this.place(row);
  }

  /** @param {Row} row */
  place(row) {
    if (this.row && this.row.y === row.y && this.row.height === row.height) return;
    this.row = row;
    this.element.style.top = `${row.y}px`;
    this.element.style.height = `${row.height}px`;
  }

  /**
   * @param {NodeBox} box
   * @param {Graph} graph
   * @param {readonly Problem[]} problems those of the node
   */
  update(box, graph, problems) {
    if (this.outSocket) this.outSocket.setAttribute('aria-label', t('view.output', { name: this.output?.name ?? '', type: this.output?.type ?? '' }));
    if (!this.input) return;
    const value = box.node.inputs.get(this.input.name);
    const source = sourceKind(this.input, value, graph);
    const isNew = source !== this.source;
    const changed = isNew || value !== this.value || graph.params !== this.params;
    if (changed) this.#fill(value, graph);
    if (source === 'widget') {
      this.widget ??= this.#mountWidget(this.input);
      if (changed || problems !== this.problems) this.widget.update(value, graph);
    } else if (changed || source === 'link') this.#showWords(source, value, graph);
    if (isNew || problems !== this.problems) this.#showProblems(problems);
    this.element.dataset.source = source;
    this.source = source;
    this.value = value;
    this.params = graph.params;
    this.problems = problems;
  }

  /**
   * Whether the socket is full: of a link, of a parameter.
   * @param {Raw | undefined} value
   * @param {Graph} graph
   */
  #fill(value, graph) {
    const ref = refOf(value);
    const linked = ref !== null && graph.nodes.has(ref.name);
    this.inSocket?.classList.toggle('filled', linked);
    this.inSocket?.classList.toggle('param', ref !== null && !linked);
  }

  /**
   * @param {Source} source
   * @param {Raw | undefined} value
   * @param {Graph} graph
   */
  #showWords(source, value, graph) {
    const input = /** @type {InputSpec} */ (this.input);
    const text = source === 'socket' ? '' : describe(value, graph);
    if (text === this.shown) return;
    this.shown = text;
    this.#dropWidget();
    const name = h('span', { class: input.name.length > SHORT ? 'row-name long' : 'row-name', textContent: input.name, title: tip(input) });
    this.body.replaceChildren(name, ...(text ? [h('span', { class: 'row-source', textContent: text, title: text })] : []));
  }

  /** @param {InputSpec} input */
  #mountWidget(input) {
    const widget = this.#makeWidget(input);
    this.shown = undefined;
    widget.element.classList.toggle('short-name', input.name.length <= SHORT);
    this.body.replaceChildren(widget.element);
    return widget;
  }

  /** @param {InputSpec} input */
  #makeWidget(input) {
    const { app, session } = this.host;
    const id = this.id;
    return makeWidget({
      app, session, id, input, kind: this.widgetKind ?? 'value',
      change: (value, options) => void session.edit('widget.edit.change', (graph) => setInput(graph, id, input.name, value), options),
    });
  }

  /** @param {readonly Problem[]} all */
  #showProblems(all) {
    const own = all.filter(({ input }) => input === this.input?.name);
    const worst = own.find(({ severity }) => severity !== 'warning') ?? own[0];
    this.element.classList.toggle('wrong', worst !== undefined && worst.severity !== 'warning');
    this.element.classList.toggle('doubtful', worst?.severity === 'warning');
    if (!this.widget) this.element.title = worst ? [worst.message, worst.hint].filter(Boolean).join('\n') : '';
  }

  #dropWidget() {
    this.widget?.destroy?.();
    this.widget = null;
  }

  destroy() {
    this.#dropWidget();
    this.element.remove();
  }
}

/**
 * What drives an input, in words: `seed = 42`, or the output that it comes from.
 * @param {Raw | undefined} value
 * @param {Graph} graph
 */
function describe(value, graph) {
  const ref = refOf(value);
  if (!ref) return '';
  const node = graph.nodes.get(ref.name);
  if (node) return `← ${node.title ?? node.id}${ref.output === null ? '' : `.${ref.output}`}`;
  const param = graph.params.get(ref.name);
  if (!param) return t('view.noSuch', { name: ref.name });
  return param.value === undefined ? `$${ref.name}` : `$${ref.name} = ${String(param.value)}`;
}

/** @param {InputSpec | OutputSpec} socket */
function tip(socket) {
  return [`${socket.name}: ${socket.type}`, socket.help].filter(Boolean).join('\n');
}

/**
 * @param {InputSpec} input
 * @param {Catalogue} catalogue
 */
function inputSocket(input, catalogue) {
  const button = h('button', {
    class: 'socket in', type: 'button', tabIndex: isWidget(input) ? -1 : 0, title: tip(input),
    'aria-label': t('view.input', { name: input.name, type: input.type }), dataset: { input: input.name },
  });
  button.classList.toggle('optional', !input.required);
  button.style.setProperty('--socket', colourOf(catalogue, input.type));
  return button;
}

/**
 * @param {OutputSpec} output
 * @param {number} index
 * @param {Catalogue} catalogue
 */
function outputSocket(output, index, catalogue) {
  const button = h('button', { class: 'socket out', type: 'button', title: tip(output), dataset: { output: String(index) } });
  button.style.setProperty('--socket', colourOf(catalogue, output.type));
  return button;
}
