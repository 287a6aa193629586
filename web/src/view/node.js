/**
 * A node on the page. It is told everything again whenever something may have changed, and touches only what has.
 *
 * @module
 */

/** @import {NodeRun, Plan} from '../app.js' */
/** @import {Graph, Problem} from '../model/types.js' */
/** @import {Linking, Socket} from './linking.js' */
/** @import {Host} from './row.js' */
/** @import {NodeBox} from './scene.js' */
import { h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { paintOf } from './colours.js';
import { fits, sameSocket } from './linking.js';
import { Pictures } from './pictures.js';
import { RowView, rowKey } from './row.js';

/**
 * What a node shows besides itself.
 * @typedef {{
 *   graph: Graph, run: NodeRun | undefined, plan: ReturnType<Plan['get']>, problems: readonly Problem[], selected: boolean,
 *   linking: Linking | null, target: Socket | null,
 * }} Facts
 */

export class NodeView {
  /**
   * @param {Host} host
   * @param {NodeBox} box
   */
  constructor(host, box) {
    this.host = host;
    this.box = box;
    this.title = h('span', { class: 'node-title' });
    this.name = h('span', { class: 'node-id' });
    this.badges = h('span', { class: 'node-badges' });
    this.bar = h('div', { class: 'node-bar' });
    this.fold = h('button', { class: 'node-fold', type: 'button', tabIndex: -1 }, icon('chevron'));
    this.fold.addEventListener('click', () => this.host.app.actions.run('view.fold', detail({ id: this.box.id })));
    this.head = h('div', { class: 'node-head' }, this.fold, this.title, this.name, this.badges);
    this.rows = h('div', { class: 'node-rows' });
    this.element = h('div', { class: 'node', tabIndex: 0, role: 'group', dataset: { id: box.id } }, this.head, this.bar, this.rows, h('div', { class: 'node-corner' }));
    /** @type {Map<string, RowView>} */
    this.rowViews = new Map();
    /** @type {Pictures | null} */
    this.pictures = null;
    this.tip = '';
    /** @type {HTMLElement | null} */
    this.trouble = null;
    /** @type {Partial<Facts> & {node?: NodeBox['node'], place?: NodeBox['place'], spec?: NodeBox['spec'], layout?: NodeBox['layout'], z?: number}} */
    this.seen = {};
  }

  /**
   * @param {NodeBox} box
   * @param {Facts} facts
   */
  update(box, facts) {
    const { seen } = this;
    this.box = box;
    const { node, place, spec, layout } = box;
    const isNew = seen.node !== node || seen.spec !== spec || !sameLook(seen.place, place);
    if (seen.place !== place || seen.layout !== layout || seen.z !== box.z) this.#lie(box);
    if (seen.layout !== layout || seen.spec !== spec) this.#arrange(box);
    if (isNew) this.#head(box);
    if (isNew || seen.layout !== layout || seen.graph?.params !== facts.graph.params || seen.graph?.nodes !== facts.graph.nodes || seen.problems !== facts.problems) {
      for (const row of this.rowViews.values()) row.update(box, facts.graph, facts.problems);
    }
    if (isNew || seen.layout !== layout || seen.run !== facts.run || seen.plan !== facts.plan || seen.problems !== facts.problems) this.#state(box, facts);
    if (seen.run !== facts.run || seen.layout !== layout) this.#pictures(box, facts.run);
    if (seen.selected !== facts.selected) {
      this.element.classList.toggle('selected', facts.selected);
    }
    if (seen.linking !== facts.linking || seen.target !== facts.target) this.#lightUp(box, facts);
    this.seen = { ...facts, node, place, spec, layout, z: box.z };
  }

  /** @param {NodeBox} box */
  #lie({ x, y, width, height, z }) {
    const { style } = this.element;
    style.left = `${x}px`;
    style.top = `${y}px`;
    style.width = `${width}px`;
    style.height = `${height}px`;
    style.zIndex = String(z);
  }

  /** Make rows as the layout wants them; those that are there stay, with the cursor in them. @param {NodeBox} box */
  #arrange(box) {
    const other = this.seen.spec !== undefined && this.seen.spec !== box.spec;
    const wanted = new Set(box.layout.rows.map(rowKey));
    for (const [key, view] of this.rowViews) {
      if (!other && wanted.has(key)) continue;
      view.destroy();
      this.rowViews.delete(key);
    }
    for (const row of box.layout.rows) {
      const key = rowKey(row);
      const known = this.rowViews.get(key);
      if (known) known.place(row);
      else {
        const view = new RowView(this.host, box, row);
        this.rowViews.set(key, view);
        this.rows.append(view.element);
      }
    }
  }

  /** @param {NodeBox} box */
  #head({ node, place, spec, layout }) {
    const title = node.title ?? spec.display_name;
    this.title.textContent = title;
    this.name.textContent = node.id === title ? '' : node.id;
    this.tip = [node.note, spec.missing ? t('view.missing', { type: node.uses }) : spec.description].filter(Boolean).join('\n\n');
    this.fold.setAttribute('aria-label', t(place.collapsed ? 'view.unfold' : 'view.fold'));
    this.fold.setAttribute('aria-expanded', String(!place.collapsed));
    const { classList } = this.element;
    for (const mode of ['muted', 'bypassed']) classList.toggle(mode, node.mode === mode);
    classList.toggle('collapsed', layout.collapsed);
    classList.toggle('pinned', place.pinned === true);
    classList.toggle('missing', spec.missing === true);
    classList.toggle('coloured', paintOf(place.colour) !== '');
    this.element.style.setProperty('--own', paintOf(place.colour));
  }

  /**
   * @param {NodeBox} box
   * @param {Facts} facts
   */
  #state(box, { run, plan, problems }) {
    const { node, spec, place } = box;
    const errors = problems.filter(({ severity }) => severity !== 'warning');
    const state = run?.state ?? '';
    this.element.dataset.state = state;
    this.element.classList.toggle('wrong', errors.length > 0 || state === 'failed');
    this.element.classList.toggle('kept', plan?.runs === false && plan.reason === 'hit');
    this.head.title = [this.tip, plan?.text].filter(Boolean).join('\n\n');
    const badges = [];
    if (place.pinned) badges.push(badge('pin', t('view.pinned')));
    if (node.note) badges.push(badge('note', node.note));
    if (node.mode !== 'run') badges.push(badge(node.mode, t(`view.${node.mode}`)));
    if (errors.length) badges.push(badge('warning', errors.map(({ message }) => message).join('\n'), 'bad'));
    badges.push(...stateBadges(run, plan));
    this.badges.replaceChildren(...badges);
    this.#cut(box.layout.width - 40 - badges.length * 20 - (run?.seconds === undefined ? 0 : 30));
    this.#progress(run);
    this.#trouble(run, problems);
    const said = spec.missing ? t('view.missing', { type: node.uses }) : stateText(node.mode, run, errors.length);
    this.element.setAttribute('aria-label', [node.title ?? spec.display_name, node.uses, said].filter(Boolean).join(', '));
  }

  /** What is cut off costs a layer of its own when it is drawn, so only what may be too long is. @param {number} room */
  #cut(room) {
    const wanted = (this.title.textContent?.length ?? 0) * 8 + (this.name.textContent?.length ?? 0) * 7;
    this.head.classList.toggle('long', wanted > room);
  }

  /** @param {NodeRun | undefined} run */
  #progress(run) {
    const running = run?.state === 'running';
    const known = running && run.total ? (run.value ?? 0) / run.total : null;
    this.bar.hidden = !running;
    this.bar.classList.toggle('endless', running && known === null);
    this.bar.style.setProperty('--done', String(known ?? 0));
    this.bar.title = running && run.total ? `${run.value ?? 0} / ${run.total}` : '';
  }

  /**
   * What is wrong, under the node: always what a run failed with, the rest while the node is selected or pointed at.
   * @param {NodeRun | undefined} run
   * @param {readonly Problem[]} problems
   */
  #trouble(run, problems) {
    const failed = run?.state === 'failed' && run.problem ? [run.problem] : [];
    const all = [...failed, ...problems.filter((problem) => problem.message !== failed[0]?.message)];
    this.trouble?.remove();
    this.trouble = null;
    if (!all.length) return;
    this.trouble = h('div', { class: failed.length ? 'node-trouble always' : 'node-trouble' }, ...all.slice(0, 4).map((problem) =>
      h('p', { class: problem.severity === 'warning' ? 'doubtful' : '' }, problem.input ? h('b', {}, `${problem.input}: `) : null, problem.message, problem.hint ? h('small', {}, problem.hint) : null)));
    if (all.length > 4) this.trouble.append(h('p', {}, t('view.more', { count: all.length - 4 })));
    this.element.append(this.trouble);
  }

  /**
   * @param {NodeBox} box
   * @param {NodeRun | undefined} run
   */
  #pictures(box, run) {
    if (!box.layout.preview) {
      this.pictures?.element.remove();
      this.pictures = null;
      return;
    }
    if (!this.pictures) {
      this.pictures = new Pictures(this.host.app);
      this.element.append(this.pictures.element);
    }
    this.pictures.update(box.id, box.layout.preview, run);
  }

  /**
   * While a link is drawn, mark the sockets that fit.
   * @param {NodeBox} box
   * @param {Facts} facts
   */
  #lightUp(box, { linking, target }) {
    for (const row of this.rowViews.values()) {
      const { inSocket, outSocket } = row;
      /** @type {[HTMLElement | undefined, Socket][]} */
      const both = [
        [inSocket, { side: 'input', node: box.id, input: row.input?.name ?? '' }],
        [outSocket, { side: 'output', node: box.id, index: Number(outSocket?.dataset.output) }],
      ];
      for (const [element, socket] of both) {
        if (!element) continue;
        const origin = linking !== null && sameSocket(linking.origin, socket);
        element.classList.toggle('fits', linking !== null && !origin && fits(linking, box, socket));
        element.classList.toggle('target', linking !== null && sameSocket(target, socket));
        element.classList.toggle('origin', origin);
      }
    }
  }

  destroy() {
    for (const row of this.rowViews.values()) row.destroy();
    this.element.remove();
  }
}

/**
 * Whether a node that moved looks the same. A drag changes places alone, sixty times a second.
 * @param {NodeBox['place'] | undefined} a
 * @param {NodeBox['place']} b
 */
function sameLook(a, b) {
  return a === b || (a !== undefined && a.collapsed === b.collapsed && a.pinned === b.pinned && a.colour === b.colour);
}

/** @param {object} what */
export function detail(what) {
  return new CustomEvent('detail', { detail: what });
}

/**
 * @param {string} name
 * @param {string} text
 * @param {string} [tone]
 */
function badge(name, text, tone = '') {
  return h('span', { class: `badge ${tone}`, title: text, role: 'img', 'aria-label': text }, icon(name));
}

/**
 * @param {NodeRun | undefined} run
 * @param {Facts['plan']} plan
 */
function stateBadges(run, plan) {
  const time = run?.seconds !== undefined ? [h('span', { class: 'badge time', textContent: secondsText(run.seconds) })] : [];
  switch (run?.state) {
    case 'done': return [...time, badge('check', t('view.state.done'), 'good')];
    case 'cached': return [badge('cached', plan?.text ?? t('view.state.cached'), 'cached')];
    case 'failed': return [...time, badge('cross', run.problem?.message ?? t('view.state.failed'), 'bad')];
    case 'skipped': return [badge('skip', run.message ?? t('view.state.skipped'))];
    case 'waiting': return [badge('clock', t('view.state.waiting'))];
    default: return plan?.reason === 'hit' ? [badge('cached', plan.text, 'cached')] : plan?.reason === 'idle' ? [badge('skip', plan.text)] : [];
  }
}

/** @param {number} seconds */
function secondsText(seconds) {
  if (seconds < 0.01) return t('view.ms', { count: (seconds * 1000).toFixed(1) });
  if (seconds < 1) return t('view.ms', { count: Math.round(seconds * 1000) });
  return seconds < 100 ? t('view.s', { count: seconds.toFixed(1) }) : t('view.min', { count: Math.floor(seconds / 60), rest: Math.round(seconds % 60) });
}

/**
 * @param {'run' | 'muted' | 'bypassed'} mode
 * @param {NodeRun | undefined} run
 * @param {number} errors
 */
function stateText(mode, run, errors) {
  const parts = [];
  if (mode !== 'run') parts.push(t(`view.${mode}`));
  if (run && run.state !== 'waiting') parts.push(t(`view.state.${run.state}`));
  if (errors) parts.push(t('view.errors', { count: errors }));
  return parts.join(', ');
}
