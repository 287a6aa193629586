/** Jobs as rows of the queue and its history. @module */
/** @import {App, Picture} from '../app.js' */
/** @import {Scalar} from '../model/types.js' */
import { writeText } from '../model/document.js';
import { setParam } from '../model/graph.js';
import { readText } from '../model/read.js';
import { api, name } from '../net/api.js';
import { pictureOf } from '../net/tracker.js';
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';
import { iconButton } from './buttons.js';
import { durationText, show, thumb, timeText } from './thumbs.js';

/**
 * A job, as lists of the server have it.
 * @typedef {{id: string, state: 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted', number: number, created: number,
 *   started: number | null, finished: number | null, error: string | null, priority: number, batch: string | null}} Job
 */

/** What is shown of a job beyond that. @typedef {{file: string, workflow: string, params: Record<string, Scalar>, pictures: Picture[], hint: string | undefined}} Known */

const DRAG = 'application/x-nodegraph-job';
const SHOWN = 4;
/** Jobs whose details are remembered. */
const REMEMBERED = 300;

/** The details of jobs, each read once for each state it is in. */
export class Details {
  constructor() {
    /** @type {Map<string, Known>} */
    this.known = new Map();
  }

  /** @param {Job} job */
  of(job) {
    return this.known.get(`${job.id} ${job.state}`) ?? { file: '', workflow: '', params: {}, pictures: [], hint: undefined };
  }

  /** @param {readonly Job[]} jobs */
  async read(jobs) {
    const wanted = jobs.filter((job) => !this.known.has(`${job.id} ${job.state}`));
    await Promise.all(wanted.map(async (job) => {
      // It may be gone by now; then its row goes with the next look at the list.
      const found = await api.get(`jobs/${name(job.id)}`).catch(() => null);
      if (found) this.known.set(`${job.id} ${job.state}`, knownOf(found));
    }));
    for (const key of [...this.known.keys()].slice(0, Math.max(0, this.known.size - REMEMBERED))) this.known.delete(key);
  }
}

/** @param {any} job @returns {Known} */
function knownOf({ request, result }) {
  const outputs = /** @type {{files?: any[]}[]} */ (Object.values(result?.outputs ?? {}));
  const pictures = outputs.flatMap(({ files = [] }) => files.map(pictureOf));
  const named = /^name: *["']?([^\n"']{1,200})/m.exec(request.workflow)?.[1];
  const hint = result?.problems?.find((/** @type {any} */ problem) => problem.severity !== 'warning')?.hint;
  return { file: String(request.extra?.file || request.file || named || ''), workflow: request.workflow, params: request.params ?? {}, pictures, hint };
}

/**
 * @param {string} what
 * @param {string} symbol
 * @param {string} label
 * @param {() => unknown} run
 */
function tool(what, symbol, label, run) {
  return iconButton(symbol, label, run, { dataset: { what } });
}

/** @param {Job} job @param {Known} known @param {...(Node | null)} more */
function row(job, known, ...more) {
  const title = known.file || t('queue.unnamed', { id: job.id.slice(0, 8) });
  return h('li', { class: `job ${job.state}`, dataset: { job: job.id } },
    h('div', { class: 'job-title' }, h('span', { class: 'job-name', title }, title), h('span', { class: 'job-state' }, t(`queue.state.${job.state}`))), ...more);
}

/**
 * @param {App} app
 * @param {Job} job
 * @param {Details} details
 * @param {{cancel: () => unknown}} does
 */
export function runningRow(app, job, details, { cancel }) {
  const known = details.of(job);
  return row(job, known, h('progress', { max: 1, 'aria-label': t('run.progress') }), h('div', { class: 'job-tools' }, tool('cancel', 'stop', t('queue.cancel'), cancel), openTool(app, known)));
}

/**
 * @param {App} app
 * @param {Job} job
 * @param {Details} details
 * @param {{front: () => unknown, move: (by: -1 | 1) => unknown, drop: (id: string, after: boolean) => unknown, remove: () => unknown}} does
 */
export function waitingRow(app, job, details, { front, move, drop, remove }) {
  const known = details.of(job);
  const element = row(job, known, h('div', { class: 'job-tools' },
    tool('front', 'to-front', t('queue.front'), front), tool('up', 'arrow-up', t('queue.up'), () => move(-1)), tool('down', 'arrow-down', t('queue.down'), () => move(1)),
    openTool(app, known), tool('remove', 'trash', t('queue.remove'), remove)));
  element.draggable = true;
  element.tabIndex = 0;
  element.setAttribute('aria-label', t('queue.waiting', { file: known.file || job.id.slice(0, 8) }));
  element.addEventListener('keydown', (event) => {
    const by = event.altKey ? { ArrowUp: /** @type {const} */ (-1), ArrowDown: /** @type {const} */ (1) }[event.key] : undefined;
    if (by) move(by);
    else if (event.key === 'Delete' && event.target === element) remove();
    else return;
    event.preventDefault();
  });
  takeDrops(element, job.id, drop);
  return element;
}

/** @param {HTMLElement} element @param {string} id @param {(id: string, after: boolean) => unknown} drop */
function takeDrops(element, id, drop) {
  const isLower = (/** @type {DragEvent} */ event) => {
    const box = element.getBoundingClientRect();
    return event.clientY > box.top + box.height / 2;
  };
  const mark = (/** @type {'before' | 'after' | null} */ where) => {
    if (where) element.dataset.drop = where;
    else delete element.dataset.drop;
  };
  element.addEventListener('dragstart', (event) => {
    event.dataTransfer?.setData(DRAG, id);
    if (event.dataTransfer) event.dataTransfer.effectAllowed = 'move';
  });
  element.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes(DRAG)) return;
    event.preventDefault();
    mark(isLower(event) ? 'after' : 'before');
  });
  element.addEventListener('dragleave', () => mark(null));
  element.addEventListener('drop', (event) => {
    const dragged = event.dataTransfer?.getData(DRAG);
    mark(null);
    if (!dragged) return;
    event.preventDefault();
    drop(dragged, isLower(event));
  });
}

/**
 * @param {App} app
 * @param {Job} job
 * @param {Details} details
 * @param {{retry: () => unknown, remove: () => unknown}} does
 */
export function endedRow(app, job, details, { retry, remove }) {
  const known = details.of(job);
  const { pictures } = known;
  const when = timeText(job.finished ?? job.created, app.language.get());
  const took = job.started && job.finished ? ` · ${durationText(job.finished - job.started)}` : '';
  return row(job, known,
    h('div', { class: 'hint' }, when + took),
    job.error ? h('p', { class: 'job-error' }, job.error, known.hint ? h('span', { class: 'hint' }, known.hint) : null) : null,
    pictures.length ? h('div', { class: 'thumbs small' }, ...pictures.slice(0, SHOWN).map((_, i) => thumb(app, pictures, i)),
      pictures.length > SHOWN ? h('button', { type: 'button', onclick: () => show(app, pictures, SHOWN) }, `+${pictures.length - SHOWN}`) : null) : null,
    h('div', { class: 'job-tools' }, tool('retry', 'repeat', t('queue.retry'), retry), openTool(app, known), tool('remove', 'trash', t('queue.forget'), remove)));
}

/** @param {App} app @param {Known} known */
function openTool(app, { workflow, params, file }) {
  return tool('open', 'workflows', t('queue.load'), () => {
    const label = t('queue.load.label', { file: file || t('file.untitled') });
    app.actions.run(/^\s*\{/.test(workflow) ? 'file.importText' : 'file.openText', new CustomEvent('open', { detail: { text: withParams(workflow, params), label } }));
  });
}

/**
 * A workflow with the values that a job gave its parameters.
 * @param {string} text
 * @param {Record<string, Scalar>} params
 */
function withParams(text, params) {
  const read = readText(text);
  if (!read.graph || !Object.keys(params).length) return text;
  const graph = Object.entries(params).reduce((before, [name, value]) => setParam(before, name, value), read.graph);
  return writeText(read, graph).text;
}
