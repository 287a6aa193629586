/**
 * What waits, what runs, and what has run. Waiting jobs are put elsewhere by dragging, by their buttons, or with Alt and
 * the arrow keys.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Job} from './job_row.js' */
/** @import {Scope} from './scope.js' */
import { api, name } from '../net/api.js';
import { fractionOf } from '../net/tracker.js';
import { confirm } from '../util/dialog.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { fillPages } from './buttons.js';
import { Details, endedRow, runningRow, waitingRow } from './job_row.js';
import { soon } from './scope.js';

const PAGE = 20;
const MOST_WAITING = 100;
const ENDED = ['done', 'failed', 'cancelled', 'interrupted'];
/** Kinds of events after which a list is another. */
const CHANGES = new Set(['job_queued', 'job_started', 'job_finished', 'job_requeued', 'job_removed', 'queue']);

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  new QueuePanel(app, body, scope);
}

class QueuePanel {
  /** @param {App} app @param {HTMLElement} body @param {Scope} scope */
  constructor(app, body, scope) {
    this.app = app;
    this.scope = scope;
    this.details = new Details();
    this.offset = 0;
    /** @type {Job[]} */
    this.waiting = [];
    /** What the lists show. */
    this.drawn = '';
    this.head = h('div', { class: 'panel-tools' });
    this.open = h('ol', { class: 'jobs', 'aria-label': t('queue.open') });
    this.ended = h('ol', { class: 'jobs', 'aria-label': t('queue.history') });
    this.pages = h('div', { class: 'pages' });
    const clear = h('button', { type: 'button', onclick: () => void this.#clearHistory() }, t('queue.clearHistory'));
    fill(body, this.head, this.open, h('div', { class: 'panel-section' }, h('h3', {}, t('queue.history')), clear), this.ended, this.pages);
    /** Whether a row is being dragged, which must not go away meanwhile. */
    this.isDragging = false;
    const refresh = soon(() => void this.refresh(), 120, scope);
    this.open.addEventListener('dragstart', () => void (this.isDragging = true));
    this.open.addEventListener('dragend', () => {
      this.isDragging = false;
      refresh();
    });
    scope.on(app.queue, () => this.#drawHead());
    scope.on(app.event, (event) => {
      if (event && CHANGES.has(event.kind)) refresh();
    });
    scope.on(app.online, (online) => online && refresh());
    scope.on(app.run, () => this.#drawProgress());
    void this.refresh();
  }

  /** Read the lists anew. */
  async refresh() {
    try {
      const [open, ended] = await Promise.all([
        api.get('jobs', { state: ['running', 'queued'], order: 'oldest', limit: MOST_WAITING }),
        api.get('jobs', { state: ENDED, order: 'newest', offset: this.offset, limit: PAGE }),
      ]);
      if (ended.jobs.length === 0 && this.offset > 0) {
        this.offset = Math.max(0, this.offset - PAGE);
        await this.refresh();
        return;
      }
      await this.details.read([...open.jobs, ...ended.jobs]);
      if (!this.scope.isOver && !this.isDragging) this.#draw(open, ended);
    } catch (error) {
      if (!this.scope.isOver && this.app.online.get()) this.app.sayError(error);
    }
  }

  #drawHead() {
    const { queued, paused } = this.app.queue.get();
    const pause = paused
      ? this.#button('play', t('queue.resume'), () => api.post('queue/resume'))
      : this.#button('pause', t('queue.pause'), () => api.post('queue/pause'));
    fill(this.head, pause, this.#button('trash', t('queue.clear'), () => api.remove('jobs', { state: 'queued' }), queued === 0),
      paused ? h('p', { class: 'hint' }, t('queue.paused')) : null);
  }

  /**
   * @param {string} symbol
   * @param {string} label
   * @param {() => Promise<unknown>} run
   * @param {boolean} [disabled]
   */
  #button(symbol, label, run, disabled = false) {
    return h('button', { type: 'button', disabled, onclick: () => void this.#do(run) }, icon(symbol), ' ', label);
  }

  /** Ask the server for something, and show what has become of it. @param {() => Promise<unknown>} run @param {string} [said] */
  async #do(run, said) {
    try {
      await run();
      if (said) this.app.announce(said);
    } catch (error) {
      this.app.sayError(error);
    }
    await this.refresh();
  }

  /** @param {{jobs: Job[], total: number}} open @param {{jobs: Job[], total: number}} ended */
  #draw(open, ended) {
    // A list that is as before stays: somebody may just be taking hold of a row.
    const lists = JSON.stringify([open, ended, [...open.jobs, ...ended.jobs].map((job) => this.details.of(job).file)]);
    if (lists === this.drawn) return;
    this.drawn = lists;
    const focused = focusedIn(this.open) ?? focusedIn(this.ended);
    this.waiting = open.jobs.filter(({ state }) => state === 'queued');
    const rows = open.jobs.map((job) => (job.state === 'running'
      ? runningRow(this.app, job, this.details, { cancel: () => this.#do(() => api.post(`jobs/${name(job.id)}/cancel`)) })
      : waitingRow(this.app, job, this.details, {
        front: () => this.#do(() => api.post(`jobs/${name(job.id)}/move`, { front: true }), t('queue.moved.front')),
        move: (by) => this.#move(job, by), drop: (id, after) => this.#drop(id, job, after),
        remove: () => this.#do(() => api.remove(`jobs/${name(job.id)}`)),
      })));
    const more = open.total - open.jobs.length;
    fill(this.open, ...rows, open.total ? null : h('li', { class: 'empty' }, t('queue.empty')), more > 0 ? h('li', { class: 'empty' }, t('queue.more', { count: more })) : null);
    fill(this.ended, ...ended.jobs.map((job) => endedRow(this.app, job, this.details, {
      retry: () => this.#do(() => api.post(`jobs/${name(job.id)}/retry`), t('queue.retried')),
      remove: () => this.#do(() => api.remove(`jobs/${name(job.id)}`)),
    })), ended.total ? null : h('li', { class: 'empty' }, t('queue.history.empty')));
    fillPages(this.pages, { offset: this.offset, size: PAGE, total: ended.total }, (offset) => {
      this.offset = offset;
      void this.refresh();
    });
    this.#drawProgress();
    if (focused) focusAgain(this.open, this.ended, focused);
  }

  #drawProgress() {
    const run = this.app.run.get();
    const bar = /** @type {HTMLProgressElement | null} */ (this.open.querySelector(`[data-job="${CSS.escape(run.job ?? '')}"] progress`));
    if (bar && run.total) bar.value = fractionOf(run);
  }

  /** Put a waiting job one place further to the front (-1) or to the back (1). @param {Job} job @param {-1 | 1} by */
  async #move(job, by) {
    const at = this.waiting.findIndex(({ id }) => id === job.id);
    const other = this.waiting[at + by];
    if (!other) return;
    const [first, second] = by < 0 ? [job, other] : [other, job];
    await this.#do(() => api.post(`jobs/${name(first.id)}/move`, { before: second.id }), t('queue.moved', { place: at + by + 1, total: this.waiting.length }));
  }

  /** Put a dragged job before or after another. @param {string} id @param {Job} target @param {boolean} after */
  async #drop(id, target, after) {
    this.isDragging = false;
    const order = this.waiting.map((job) => job.id).filter((each) => each !== id);
    const at = order.indexOf(target.id) + (after ? 1 : 0);
    const next = order[at];
    if (!this.waiting.some((job) => job.id === id) || id === target.id) return;
    await this.#do(async () => {
      if (next) return api.post(`jobs/${name(id)}/move`, { before: next });
      // Nothing can be put behind the last one, but all that came after it can be put before it.
      const later = this.waiting.slice(this.waiting.findIndex((job) => job.id === id) + 1);
      for (const job of later) await api.post(`jobs/${name(job.id)}/move`, { before: id });
      return undefined;
    }, t('queue.moved', { place: at + 1, total: this.waiting.length }));
  }

  async #clearHistory() {
    const sure = await confirm({ title: t('queue.clearHistory'), text: t('queue.clearHistory.text'), ok: t('queue.clearHistory.ok'), danger: true });
    if (sure) await this.#do(() => api.remove('jobs', { state: ENDED }));
  }
}

/** Which button of which job has the focus. @param {HTMLElement} list */
function focusedIn(list) {
  const { activeElement } = document;
  const row = list.contains(activeElement) ? activeElement?.closest('[data-job]') : null;
  if (!(row instanceof HTMLElement) || !(activeElement instanceof HTMLElement)) return null;
  return { job: row.dataset.job ?? '', what: activeElement.dataset.what ?? '', at: [...list.children].indexOf(row) };
}

/** @param {HTMLElement} open @param {HTMLElement} ended @param {{job: string, what: string, at: number}} focused */
function focusAgain(open, ended, { job, what, at }) {
  const rows = /** @type {HTMLElement[]} */ ([...open.children, ...ended.children]);
  const row = rows.find((each) => each.dataset.job === job) ?? rows[Math.min(at, rows.length - 1)];
  const target = row?.querySelector(`[data-what="${what}"]`) ?? row;
  if (target instanceof HTMLElement) target.focus();
}
