/**
 * One job as the canvas shows it: what its events say, by node of the file.
 *
 * A node of the file may be several in the run (the cells of a sweep, the nodes of a sub-workflow, nodes that were added
 * meanwhile); what they have come to is shown as one.
 *
 * @module
 */

/** @import {NodeRun, Picture, RunState} from '../app.js' */
/** @import {Problem} from '../model/types.js' */
/** @import {ServerEvent} from './events.js' */

/** @typedef {{filename: string, subfolder?: string, type?: string, digest?: string, width?: number, height?: number, id: string, file: string, thumbnail: string}} SavedFile */

/** @type {ReadonlySet<string>} */
const OPEN = new Set(['queued', 'running']);

/** Whether a run has not ended. @param {RunState} run */
export function isOpen(run) {
  return OPEN.has(run.state);
}

/**
 * How far a run is, from 0 to 1: its ended nodes, and the parts of those that run.
 * @param {RunState} run
 */
export function fractionOf(run) {
  if (!run.total) return 0;
  let inside = 0;
  for (const node of run.nodes.values()) if (node.state === 'running' && node.total) inside += (node.value ?? 0) / node.total;
  return Math.min(1, (run.done + inside) / run.total);
}

/**
 * The node of the file that a node of the run belongs to: `latent[1,2]` and `latent/decode` are `latent`.
 * @param {string} node
 */
export function ownerOf(node) {
  return /^[^[\]/.:]+/.exec(node)?.[0] ?? node;
}

/**
 * A file that a node saved, as a picture of the page.
 * @param {SavedFile} saved
 */
export function pictureOf({ filename, subfolder, digest = '', ...row }) {
  return pictureAt({ ...row, name: subfolder ? `${subfolder}/${filename}` : filename }, digest.slice(0, 12));
}

/**
 * A picture of the server as one of the page. The address of one that was written anew is another.
 * @param {{id: string, name: string, file: string, thumbnail: string, width?: number, height?: number}} row
 * @param {string | number} version nothing if that is not known
 * @returns {Picture}
 */
export function pictureAt({ id, name, file, thumbnail, width = 0, height = 0 }, version) {
  const query = version ? `?v=${version}` : '';
  return { id, name, file: relative(file) + query, thumbnail: relative(thumbnail) + query, width, height };
}

/** The page may lie below a path of a proxy; the server's addresses begin at its root. @param {string} address */
function relative(address) {
  return address.startsWith('/') ? address.slice(1) : address;
}

export class Tracker {
  /**
   * @param {string} job
   * @param {{show: (key: string, jpeg: string) => string, drop: (key: string) => void}} previews
   * @param {Iterable<string>} [expected] nodes that are thought to run
   */
  constructor(job, previews, expected = []) {
    this.job = job;
    this.previews = previews;
    this.expected = [...expected];
    /** Node of the run to the node of the file that it is shown as. @type {Map<string, string>} */
    this.owners = new Map();
    /** Node of the file to its nodes of the run. @type {Map<string, Map<string, NodeRun>>} */
    this.parts = new Map();
    /** @type {Map<string, NodeRun>} */
    this.nodes = new Map();
    /** @type {Problem[]} */
    this.problems = [];
    /** @type {RunState['state']} */
    this.state = 'queued';
    this.done = 0;
    this.total = 0;
    /** @type {number | null} */
    this.started = null;
    /** @type {string | undefined} */
    this.error = undefined;
    this.#await();
  }

  /** Everything as a value. @returns {RunState} */
  snapshot() {
    const { job, state, done, total, problems, started } = this;
    return { job, state, done, total, nodes: new Map(this.nodes), problems: [...problems], started };
  }

  get isOpen() {
    return OPEN.has(this.state);
  }

  /**
   * Take an event of this job; answers whether it changed anything.
   * @param {ServerEvent} event
   */
  take({ kind, data, at }) {
    switch (kind) {
      case 'job_queued': return this.#restart('queued');
      case 'job_requeued': return this.#restart('queued');
      case 'job_started':
        this.#restart('running');
        this.started = at === undefined ? Date.now() : at * 1000;
        return true;
      case 'planned':
        this.total = data.nodes;
        return true;
      case 'expanded':
        for (const { node, display } of data.added) this.owners.set(node, ownerOf(display));
        return true;
      case 'job_finished': return this.#end(data.state, data.error);
      case 'job_removed': return this.isOpen ? this.#end('cancelled') : false;
      default: return this.#takeNode(kind, data);
    }
  }

  /**
   * What a job that is over has come to, as /api/v1/jobs/{id} tells it.
   * @param {any} job
   */
  restore(job) {
    this.#restart(job.state);
    this.started = job.started ? job.started * 1000 : null;
    const { nodes = {}, outputs = {}, problems = [], executed = [], cached = [], skipped = [] } = job.result ?? {};
    for (const [node, fact] of Object.entries(nodes)) {
      const state = stateOf(fact.state, node, executed, cached);
      if (!state) continue;
      const owner = fact.display ?? node;
      this.owners.set(node, ownerOf(owner));
      const problem = problems.find((/** @type {Problem} */ found) => found.node === node);
      this.#set(node, { state, seconds: fact.seconds ?? undefined, ...madeBy(outputs[node]), ...(state === 'failed' ? { problem } : {}) });
    }
    this.problems = problems;
    this.done = executed.length + cached.length + skipped.length;
    this.total = Math.max(this.done, Object.keys(nodes).length);
    if (!this.isOpen) this.#end(job.state, job.error ?? undefined);
  }

  /** @param {string} kind @param {Record<string, any>} data */
  #takeNode(kind, data) {
    const { node } = data;
    if (typeof node !== 'string') return false;
    const before = this.#part(node);
    switch (kind) {
      case 'started': return this.#set(node, { state: 'running' });
      case 'progress':
        if (before?.state !== 'running') return false;
        return this.#set(node, { ...before, value: data.value, total: data.total });
      case 'preview': return this.#preview(data);
      case 'warning': return this.#set(node, { ...(before ?? { state: 'running' }), message: data.message });
      case 'cached': return this.#ended(node, { state: 'cached', ...madeBy(data) });
      case 'finished': return this.#ended(node, { state: 'done', seconds: data.seconds, ...madeBy(data), ...(before?.message ? { message: before.message } : {}) });
      case 'skipped': return this.#ended(node, { state: 'skipped', message: data.reason });
      case 'failed':
        this.problems.push(data.problem);
        return this.#ended(node, { state: 'failed', problem: data.problem });
      default: return false;
    }
  }

  /** @param {Record<string, any>} data */
  #preview({ node, display, jpeg }) {
    if (display && display !== node) this.owners.set(node, ownerOf(display));
    const before = this.#part(node) ?? /** @type {NodeRun} */ ({ state: 'running' });
    if (before.state !== 'running') return false;
    return this.#set(node, { ...before, preview: this.previews.show(`${this.job} ${node}`, jpeg) });
  }

  /** @param {string} node @param {NodeRun} run */
  #ended(node, run) {
    this.done += 1;
    this.previews.drop(`${this.job} ${node}`);
    return this.#set(node, run);
  }

  /** @param {string} node */
  #owner(node) {
    return this.owners.get(node) ?? ownerOf(node);
  }

  /** @param {string} node */
  #part(node) {
    return this.parts.get(this.#owner(node))?.get(node);
  }

  /** @param {string} node @param {NodeRun} run */
  #set(node, run) {
    const owner = this.#owner(node);
    let parts = this.parts.get(owner);
    if (!parts) this.parts.set(owner, (parts = new Map()));
    parts.set(node, run);
    this.nodes.set(owner, parts.size === 1 ? run : together([...parts.values()]));
    return true;
  }

  /** @param {RunState['state']} state */
  #restart(state) {
    this.state = state;
    this.done = 0;
    this.#dropPreviews();
    this.parts.clear();
    this.nodes.clear();
    this.problems = [];
    this.#await();
    return true;
  }

  #await() {
    for (const node of this.expected) this.nodes.set(node, { state: 'waiting' });
  }

  #dropPreviews() {
    for (const parts of this.parts.values()) for (const node of parts.keys()) this.previews.drop(`${this.job} ${node}`);
  }

  /** @param {RunState['state']} state @param {string} [error] */
  #end(state, error) {
    this.state = state;
    this.error = error;
    this.#dropPreviews();
    // What was still to come will not come any more.
    for (const [node, run] of this.nodes) if (run.state === 'waiting' || run.state === 'running') this.nodes.delete(node);
    return true;
  }
}

/**
 * @param {string | undefined} state
 * @param {string} node
 * @param {string[]} executed
 * @param {string[]} cached
 * @returns {NodeRun['state'] | null}
 */
function stateOf(state, node, executed, cached) {
  if (state === 'failed' || state === 'skipped' || state === 'cached') return state;
  if (cached.includes(node)) return 'cached';
  return state === 'done' || state === 'finished' || executed.includes(node) ? 'done' : null;
}

/**
 * The pictures and shown values of a node.
 * @param {{files?: SavedFile[], shown?: Record<string, unknown>} | undefined} data
 * @returns {{pictures?: Picture[], shown?: Record<string, unknown>}}
 */
function madeBy(data) {
  const pictures = data?.files?.length ? data.files.map(pictureOf) : undefined;
  const shown = data?.shown && Object.keys(data.shown).length ? data.shown : undefined;
  return { ...(pictures ? { pictures } : {}), ...(shown ? { shown } : {}) };
}

/**
 * Several nodes of a run as the one of the file that they belong to.
 * @param {readonly NodeRun[]} parts
 * @returns {NodeRun}
 */
export function together(parts) {
  const state = ['failed', 'running', 'waiting', 'done', 'cached', 'skipped'].find((each) => parts.some((part) => part.state === each)) ?? 'done';
  const ended = parts.filter((part) => part.state !== 'running' && part.state !== 'waiting').length;
  const inside = parts.reduce((sum, part) => sum + (part.state === 'running' && part.total ? (part.value ?? 0) / part.total : 0), 0);
  const pictures = parts.flatMap((part) => part.pictures ?? []);
  const seconds = parts.reduce((sum, part) => sum + (part.seconds ?? 0), 0);
  const last = (/** @type {keyof NodeRun} */ key) => parts.findLast((part) => part[key] !== undefined)?.[key];
  return /** @type {NodeRun} */ (withoutNothing({
    state, seconds: seconds || undefined, pictures: pictures.length ? pictures : undefined,
    value: state === 'running' ? ended + inside : undefined, total: state === 'running' ? parts.length : undefined,
    problem: last('problem'), preview: last('preview'), shown: last('shown'), message: last('message'),
  }));
}

/** @param {Record<string, unknown>} data */
function withoutNothing(data) {
  return Object.fromEntries(Object.entries(data).filter(([, value]) => value !== undefined));
}
