/**
 * Queueing what is on the canvas, and what becomes of it. `app.run` is the shown file's run: the one that runs now, or
 * else the one that was queued last.
 *
 * @module
 */

/** @import {App, NodeRun} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {ServerEvent} from './events.js' */
import { NO_RUN, readJson, writeJson } from '../app.js';
import { t } from '../util/i18n.js';
import { ApiError, api, name, newId } from './api.js';
import { atTheirPlaces, placeOf, toShow } from './check.js';
import { Previews } from './previews.js';
import { Tracker } from './tracker.js';

/** How long events are gathered before the page shows them, in milliseconds. */
const GATHER = 30;
const KEPT = 'nodegraph.jobs';
const KEPT_JOBS = 50;
const BROWSER = 'nodegraph.browser';
/** Events of jobs that nobody follows yet: the answer that names a job may come after its first events. */
const UNCLAIMED = 1000;
/** Trackers of jobs of one file that are remembered; those that ended first go first. */
const REMEMBERED = 20;

/**
 * What a file is called among those whose jobs are kept in mind over a reload; null for one that has not been run yet.
 * @param {Session} session
 */
function keyOf(session) {
  const { name: file, key } = session.file.get();
  return key ?? file;
}

/** The same, given to a file that has none; it is kept with its draft. @param {Session} session */
function ownKey(session) {
  const known = keyOf(session);
  if (known !== null) return known;
  const key = newId();
  session.file.set({ ...session.file.get(), key });
  return key;
}

export class Runs {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    this.previews = new Previews();
    this.client = browserName(app.storage);
    /** The jobs of each file, in the order in which they were queued. @type {WeakMap<Session, Tracker[]>} */
    this.trackers = new WeakMap();
    /** @type {Map<string, {session: Session, tracker: Tracker}>} */
    this.jobs = new Map();
    /** What the nodes of a file made last. @type {WeakMap<Session, ReadonlyMap<string, NodeRun>>} */
    this.former = new WeakMap();
    /** @type {ServerEvent[]} */
    this.unclaimed = [];
    /** Whether seeds are being given their next values, which is no change that anybody made. */
    this.advancing = false;
    /** @type {ReturnType<typeof setTimeout> | null} */
    this.gathering = null;
    /** The number of the last event, for what is kept. @type {() => number | null} */
    this.lastSeen = () => null;
    app.session.subscribe(() => this.publish());
  }

  /**
   * Queue the shown file.
   * @param {{front?: boolean, quiet?: boolean}} [options] quiet: mistakes are shown at their places only
   * @returns {Promise<string[]>} the jobs
   */
  async queue({ front = false, quiet = false } = {}) {
    const session = this.app.session.get();
    /** @type {string[]} */
    const queued = [];
    /** @type {string[]} */
    const texts = [];
    try {
      for (let round = 0; round < Math.max(1, this.app.batch.get()); round += 1) {
        const text = readableText(session);
        if (front) texts.unshift(text);
        else queued.push(await this.#submit(session, text, front));
        this.advancing = true;
        await advanceSeeds(this.app, session).finally(() => (this.advancing = false));
      }
      // What is put at the front goes before all others: the last of a batch first, so that they run in their order.
      for (const text of texts) queued.unshift(await this.#submit(session, text, front));
    } catch (error) {
      this.#refused(error, quiet);
    }
    return queued;
  }

  /** @param {Session} session @param {string} text @param {boolean} front */
  async #submit(session, text, front) {
    const job = newId();
    const expected = [...this.app.plan.get()].filter(([, { runs }]) => runs).map(([node]) => node);
    this.follow(session, job, expected);
    const before = this.lastSeen();
    try {
      await api.post('jobs', { ...requestOf(this.client, session, text), id: job, ...(front ? { front } : {}) });
    } catch (error) {
      this.forget(job);
      throw error;
    }
    this.#keep(session, job, before);
    return job;
  }

  /**
   * Queue the shown file once for each of several values, with a sheet of all pictures.
   * @param {Record<string, unknown>} over parameter to its values, as a list or as a text such as `1..4`
   */
  async sweep(over) {
    const session = this.app.session.get();
    const before = this.lastSeen();
    try {
      const job = await api.post('sweep', { ...requestOf(this.client, session, readableText(session)), over });
      this.follow(session, job.id);
      this.#keep(session, job.id, before);
      this.app.announce(t('form.sweep.queued'));
    } catch (error) {
      this.#refused(error, false);
    }
  }

  /** @param {unknown} error @param {boolean} quiet */
  #refused(error, quiet) {
    if (!(error instanceof ApiError)) throw error;
    const problems = atTheirPlaces(error.problems);
    if (problems.length && error.status === 400) this.app.problems.set(problems);
    if (quiet && problems.length) return;
    const others = problems.filter(({ severity }) => severity !== 'warning').length - 1;
    const more = others > 0 ? ` ${t('run.moreProblems', { count: others })}` : '';
    this.app.say('error', `${t('run.refused')} ${error.message}${more}`, { hint: error.hint, ...toShow(this.app, problems[0]?.node) });
  }

  /**
   * Show a job at a file from now on.
   * @param {Session} session
   * @param {string} job
   * @param {Iterable<string>} [expected]
   */
  follow(session, job, expected = []) {
    const tracker = new Tracker(job, this.previews, expected);
    const all = [...(this.trackers.get(session) ?? []), tracker];
    const old = all.filter((each) => !each.isOpen).slice(0, Math.max(0, all.length - REMEMBERED));
    for (const { job: gone } of old) this.jobs.delete(gone);
    this.trackers.set(session, all.filter((each) => !old.includes(each)));
    this.jobs.set(job, { session, tracker });
    const early = this.unclaimed.filter((event) => event.job === job);
    this.unclaimed = this.unclaimed.filter((event) => event.job !== job);
    for (const event of early) this.take(event);
    this.publish();
    return tracker;
  }

  /** A job is not one of ours after all. @param {string} job */
  forget(job) {
    const found = this.jobs.get(job);
    if (!found) return;
    this.jobs.delete(job);
    this.trackers.set(found.session, (this.trackers.get(found.session) ?? []).filter((each) => each !== found.tracker));
    this.publish();
  }

  /** @param {ServerEvent} event */
  take(event) {
    const found = this.jobs.get(event.job);
    if (!found && event.job && event.seq !== undefined) this.unclaimed = [...this.unclaimed.slice(1 - UNCLAIMED), event];
    if (!found || !found.tracker.take(event)) return;
    if (event.kind === 'job_finished') this.#ended(found.session, found.tracker);
    this.gathering ??= setTimeout(() => this.publish(), GATHER);
  }

  /** Bring `app.run` up to date. */
  publish() {
    if (this.gathering) clearTimeout(this.gathering);
    this.gathering = null;
    const session = this.app.session.get();
    const shown = this.#shownTracker(session);
    if (!shown) return this.app.run.set(NO_RUN);
    const run = shown.snapshot();
    return this.app.run.set(shown.isOpen ? { ...run, nodes: this.#withFormer(session, run.nodes) } : run);
  }

  /** Keep in mind what a run has made. @param {Session} session @param {Tracker} tracker */
  #remember(session, tracker) {
    const made = [...tracker.nodes].filter(([, { pictures }]) => pictures);
    this.former.set(session, new Map([...(this.former.get(session) ?? []), ...made]));
  }

  /**
   * A node goes on showing what it made last until it has made something else: it would jump in size otherwise.
   * @param {Session} session
   * @param {ReadonlyMap<string, NodeRun>} nodes
   * @returns {ReadonlyMap<string, NodeRun>}
   */
  #withFormer(session, nodes) {
    /** @type {Map<string, NodeRun>} */
    const all = new Map(nodes);
    for (const [id, { pictures }] of this.former.get(session) ?? []) {
      const run = all.get(id) ?? { state: 'waiting' };
      if (pictures && !run.pictures && (run.state === 'waiting' || run.state === 'running')) all.set(id, { ...run, pictures });
    }
    return all;
  }

  /** @param {Session} session */
  #shownTracker(session) {
    const all = this.trackers.get(session) ?? [];
    return all.find(({ state }) => state === 'running') ?? all.find(({ isOpen }) => isOpen) ?? all.at(-1) ?? null;
  }

  /** Cancel what the shown file has running, or else what it has queued. */
  async cancel() {
    const open = (this.trackers.get(this.app.session.get()) ?? []).filter(({ isOpen }) => isOpen);
    const running = open.filter(({ state }) => state === 'running');
    const ids = (running.length ? running : open).map(({ job }) => job);
    try {
      if (ids.length) await api.post('queue/cancel', { ids });
      else this.app.say('info', t('run.nothingRuns'));
    } catch (error) {
      this.app.sayError(error);
    }
  }

  /** Whether the shown file has anything that can be cancelled. */
  get hasOpen() {
    return (this.trackers.get(this.app.session.get()) ?? []).some(({ isOpen }) => isOpen);
  }

  /**
   * Look at the job that a file had when the page was last open.
   * @param {Session} session
   */
  async restore(session) {
    const key = keyOf(session);
    const kept = key === null ? undefined : readJson(this.app.storage, KEPT)[key];
    if (!kept || this.trackers.has(session)) return;
    this.trackers.set(session, []);
    const tracker = this.follow(session, kept.job);
    await this.#catchUp(session, tracker);
  }

  /** The server was away: see what has become of what was open. */
  async catchUp() {
    const open = [...this.jobs.values()].filter(({ tracker }) => tracker.isOpen);
    await Promise.all(open.map(({ session, tracker }) => this.#catchUp(session, tracker)));
  }

  /** @param {Session} session @param {Tracker} tracker */
  async #catchUp(session, tracker) {
    try {
      const job = await api.get(`jobs/${name(tracker.job)}`);
      // An open one is told by its events, which are sent again.
      if (job.state === 'queued' || job.state === 'running') tracker.state = job.state;
      else if (tracker.isOpen) tracker.restore(job);
      if (!tracker.isOpen) this.#close(session, job.id);
      this.#remember(session, tracker);
      this.publish();
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 404) return;
      this.#close(session, tracker.job);
      this.forget(tracker.job);
    }
  }

  /** The event from which on everything about open jobs has to be told again after a reload. @returns {number | null} */
  keptSince() {
    const all = /** @type {{job: string, seq: number | null, open?: boolean}[]} */ (Object.values(readJson(this.app.storage, KEPT)));
    const numbers = all.filter(({ open }) => open).map(({ seq }) => seq ?? 0);
    return numbers.length ? Math.min(...numbers) : null;
  }

  /**
   * Keep in mind that a job is the last of a file.
   * @param {Session} session
   * @param {string} job
   * @param {number | null} seq the last event before it was queued; its first ones may come before the answer does
   */
  #keep(session, job, seq) {
    const all = readJson(this.app.storage, KEPT);
    const key = ownKey(session);
    delete all[key];
    const entries = Object.entries({ ...all, [key]: { job, seq, open: true } }).slice(-KEPT_JOBS);
    writeJson(this.app.storage, KEPT, Object.fromEntries(entries));
  }

  /** Keep in mind that nothing of a job is to come. @param {Session} session @param {string} job */
  #close(session, job) {
    const all = readJson(this.app.storage, KEPT);
    const key = ownKey(session);
    if (all[key]?.job === job) writeJson(this.app.storage, KEPT, { ...all, [key]: { ...all[key], open: false } });
  }

  /** @param {Session} session @param {Tracker} tracker */
  #ended(session, tracker) {
    this.#remember(session, tracker);
    this.#close(session, tracker.job);
    this.app.ended.set({ session, run: tracker.snapshot(), error: tracker.error });
  }
}

/**
 * The text of a file with all that was edited.
 * @param {Session} session
 * @throws {ApiError} where it cannot be read
 */
function readableText(session) {
  session.flush();
  const [first] = session.textProblems.get();
  if (first) throw new ApiError(first.message, { code: 'unreadable', hint: first.hint ?? t('run.unreadable.hint') });
  return session.text.get();
}

/**
 * What this browser is called among those that queue jobs, who take turns; the same after a reload, if it may keep anything.
 * @param {Storage | null} storage
 */
function browserName(storage) {
  const { id } = readJson(storage, BROWSER);
  if (typeof id === 'string') return `canvas ${id}`;
  const made = newId();
  writeJson(storage, BROWSER, { id: made });
  return `canvas ${made}`;
}

/**
 * What the server is told of a file's text besides what to do with it.
 * @param {string} client
 * @param {Session} session
 * @param {string} text
 */
function requestOf(client, session, text) {
  const { name: file, label } = session.file.get();
  return { workflow: text, client, extra: { file: file ?? label, session: ownKey(session) }, ...placeOf(session) };
}

/**
 * Give seeds that follow a run their next value. The widgets know which do.
 * @param {App} app
 * @param {Session} session
 */
async function advanceSeeds(app, session) {
  const widgets = /** @type {any} */ (await import('../widgets/index.js'));
  await widgets.advanceSeeds?.(app, session);
}
