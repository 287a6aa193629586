/**
 * Holds the shown file against the server's checker whenever it has changed: its mistakes, and what a run would do.
 *
 * @module
 */

/** @import {App, Plan} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Problem} from '../model/types.js' */
import { t } from '../util/i18n.js';
import { ApiError, api } from './api.js';
import { writeExact } from './exact.js';
import { ownerOf } from './tracker.js';

/** How long a file stays as it is before it is checked, in milliseconds. */
export const REST = 250;

/**
 * A node of a plan, as the server tells it.
 * @typedef {{
 *   node: string, type: string, action: 'hit' | 'run' | 'off' | 'idle', reason?: string, field?: string, old?: unknown,
 *   new?: unknown, detail?: string, seconds?: number, root?: {node: string, reason: string, field?: string, old?: unknown, new?: unknown},
 * }} Explained
 */

export class Checker {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    /** @type {AbortController | null} */
    this.asking = null;
    /** What was checked last. @type {string | null} */
    this.checked = null;
    /** @type {(() => void)[]} */
    this.stops = [];
    app.session.subscribe((session, before) => {
      if (session !== before) {
        app.problems.set([]);
        app.plan.set(new Map());
      }
      this.checked = null;
      for (const stop of this.stops) stop();
      this.stops = [session.text.subscribe(() => this.later()), session.textProblems.subscribe(() => this.later()),
        session.state.subscribe(() => this.later())];
      this.later();
    }, true);
  }

  /** Check when nothing has happened for a moment. */
  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => void this.check(), REST);
  }

  /** Check although nothing has changed here: something has on the server. */
  again() {
    this.checked = null;
    this.later();
  }

  /** Check now, unless something is being dragged or the text is what was checked last. */
  async check() {
    const { app } = this;
    const session = app.session.get();
    if (session.holds > 0 || !app.online.get()) return;
    const wrong = session.textProblems.get();
    if (wrong.length) {
      this.checked = null;
      app.problems.set(wrong);
      app.plan.set(new Map());
      return;
    }
    const text = session.text.get();
    if (text === this.checked) return;
    this.checked = text;
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const body = { workflow: text, ...placeOf(session) };
    try {
      const { problems, runnable } = await api.post('check', body, { signal: asking.signal });
      if (this.asking !== asking) return;
      app.problems.set(atTheirPlaces(problems));
      // What a run would do is for a worker to say, and the first one may still be starting.
      const nodes = runnable ? (await api.post('plan', body, { signal: asking.signal })).nodes : [];
      if (this.asking === asking) app.plan.set(readPlan(nodes));
    } catch (error) {
      this.#failed(error, asking);
    }
  }

  /** @param {unknown} error @param {AbortController} asking */
  #failed(error, asking) {
    if (!(error instanceof ApiError) || error.code === 'aborted' || this.asking !== asking) return;
    this.checked = null;
    if (error.status === 400) {
      this.app.problems.set(error.problems.length ? atTheirPlaces(error.problems) : [problemOf(error)]);
      this.app.plan.set(new Map());
    }
  }
}

/** @param {ApiError} error @returns {Problem} */
function problemOf(error) {
  return { code: error.code, severity: 'error', message: error.message, hint: error.hint };
}

/**
 * Where a file lies on the server, so that sub-workflows and pictures beside it are found.
 * @param {Session} session
 * @returns {{file?: string, example?: string}}
 */
export function placeOf(session) {
  const { name: file, example } = session.file.get();
  if (file !== null) return { file };
  return example ? { example } : {};
}

/**
 * Problems at the nodes of the shown file. One inside a sub-workflow belongs to the node that uses it, and says where it is.
 * @param {readonly Problem[]} problems
 * @returns {Problem[]}
 */
export function atTheirPlaces(problems) {
  return problems.map((problem) => {
    if (problem.node === undefined) return problem;
    const node = ownerOf(problem.node);
    if (!problem.node.includes('/')) return node === problem.node ? problem : { ...problem, node };
    const { code, severity, message, hint, file = '', line = 0 } = problem;
    return { code, severity, hint, node, message: t('run.inPart', { file, line, message }) };
  });
}

/** @type {WeakMap<readonly Problem[], Map<string, Problem[]>>} */
const byNode = new WeakMap();

/**
 * The problems of a node, found without going through those of all others for each.
 * @param {readonly Problem[]} problems at their places
 * @param {string} id
 * @returns {readonly Problem[]}
 */
export function problemsAt(problems, id) {
  let known = byNode.get(problems);
  if (!known) {
    known = new Map();
    for (const problem of problems) {
      const node = problem.node ?? '';
      known.set(node, [...known.get(node) ?? [], problem]);
    }
    byNode.set(problems, known);
  }
  return known.get(id) ?? [];
}

/**
 * What a message about a node offers: to show it, if the shown file has it.
 * @param {App} app
 * @param {string | undefined} node
 * @returns {{action?: {label: string, run: () => void}}}
 */
export function toShow(app, node) {
  if (node === undefined || !app.session.get().graph.get().nodes.has(node)) return {};
  const run = () => void app.actions.run('view.focus', new CustomEvent('focus', { detail: { id: node } }));
  return { action: { label: t('run.showNode', { node }), run } };
}

/**
 * What a run would do, by node of the file. Of a node that is several in the run, one that runs decides.
 * @param {readonly Explained[]} nodes
 * @returns {Plan}
 */
export function readPlan(nodes) {
  /** @type {Map<string, {runs: boolean, reason: string, text: string}>} */
  const plan = new Map();
  for (const node of nodes) {
    const owner = ownerOf(node.node);
    if (plan.get(owner)?.runs) continue;
    plan.set(owner, { runs: node.action === 'run', reason: node.reason ?? node.action, text: explain(node) });
  }
  return plan;
}

/**
 * Whether a node runs, and why, in words.
 * @param {Explained} node
 */
export function explain(node) {
  if (node.action !== 'run') return t(`run.plan.${node.action}`);
  const reason = t(`run.reason.${node.reason}`, { field: node.field ?? '', old: short(node.old), new: short(node.new), detail: node.detail ?? '' });
  const { root } = node;
  if (!root || root.node === node.node) return reason;
  const why = t(`run.reason.${root.reason}`, { field: root.field ?? '', old: short(root.old), new: short(root.new), detail: '' });
  return t('run.reason.root', { reason, node: root.node, why });
}

/** @param {unknown} value */
function short(value) {
  const text = typeof value === 'string' ? value : value === undefined || value === null ? t('run.nothing') : writeExact(value);
  return text.length > 60 ? `${text.slice(0, 57)}…` : text;
}
