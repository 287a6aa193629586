/** The server: its log, its workers and their memory, its cache. @module */
/** @import {App} from '../app.js' */
/** @import {Scope} from './scope.js' */
import { api } from '../net/api.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { soon } from './scope.js';
import { durationText, sizeText } from './thumbs.js';

/** @typedef {{seq: number, at: number, level: string, from: string, message: string}} Line */

const MOST = 500;
const EVERY = 2000;

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  const facts = h('dl', { class: 'facts' });
  const free = h('button', { type: 'button', onclick: () => void freeMemory() }, icon('free'), ' ', t('panel.free'));
  const log = h('div', { class: 'log', role: 'log', tabIndex: 0, 'aria-label': t('panel.log'), 'aria-live': 'off' });
  fill(body, h('h3', {}, t('panel.server')), facts, free, h('h3', {}, t('panel.log')), log);
  const readFacts = async () => {
    try {
      const [system, cache] = await Promise.all([api.get('system'), api.get('cache')]);
      if (!scope.isOver) drawFacts(facts, system, cache);
    } catch {
      // While the server is away the banner says so.
    }
  };
  const freeMemory = async () => {
    try {
      await api.post('cache/free', { models: true, memory: true });
      app.say('success', t('panel.freed'));
    } catch (error) {
      app.sayError(error);
    }
    refresh();
  };
  const refresh = soon(() => void readFacts(), 300, scope);
  scope.on(app.event, (event) => {
    if (event && ['worker', 'job_finished', 'queue'].includes(event.kind)) refresh();
  });
  void readFacts();
  followLog(app, log, scope);
}

/** @param {HTMLElement} list @param {any} system @param {any} cache */
function drawFacts(list, system, cache) {
  const entry = (/** @type {string} */ key, /** @type {string} */ value) => [h('dt', {}, key), h('dd', {}, value)];
  const workers = system.workers.flatMap((/** @type {any} */ worker) => entry(worker.device,
    t('panel.worker', { state: worker.state, memory: sizeText(worker.memory), models: sizeText(worker.models) })));
  fill(list,
    ...entry(t('panel.version'), `nodegraph ${system.version} · Python ${system.python} · ${system.platform}`),
    ...entry(t('panel.uptime'), durationText(system.uptime)), ...workers,
    ...entry(t('panel.cache'), cache.enabled ? t('panel.cache.kept', { results: cache.results, size: sizeText(cache.bytes) }) : t('panel.cache.off')),
    ...(system.disk ? entry(t('panel.disk'), t('panel.disk.free', { free: sizeText(system.disk.free), total: sizeText(system.disk.total) })) : []));
}

/**
 * Read new lines of the log now and then, and stay at its end unless somebody looks further up.
 * @param {App} app
 * @param {HTMLElement} log
 * @param {Scope} scope
 */
function followLog(app, log, scope) {
  let last = 0;
  let lines = /** @type {Line[]} */ ([]);
  const read = async () => {
    try {
      const answer = await api.get('logs', { after: last, limit: MOST });
      if (scope.isOver) return;
      // A server that was started again counts anew.
      if (answer.last < last) {
        [last, lines] = [0, []];
        return void read();
      }
      const isNew = answer.last !== last || lines.length === 0;
      last = answer.last;
      lines = [...lines, ...answer.lines].slice(-MOST);
      if (isNew) draw(answer.lines);
      return undefined;
    } catch {
      return undefined; // The next look comes.
    }
  };
  const draw = (/** @type {Line[]} */ added) => {
    const atEnd = log.scrollTop + log.clientHeight >= log.scrollHeight - 20;
    if (added.length === lines.length) fill(log);
    log.append(...added.map(lineOf));
    while (log.childElementCount > MOST) log.firstElementChild?.remove();
    if (!lines.length) fill(log, h('p', { class: 'empty' }, t('panel.log.empty')));
    if (atEnd) log.scrollTop = log.scrollHeight;
  };
  const lineOf = (/** @type {Line} */ { at, level, from, message }) => h('div', { class: `log-line ${/^(warning|error|critical)$/i.test(level) ? level.toLowerCase() : ''}` },
    h('time', {}, new Date(at * 1000).toLocaleTimeString(app.language.get())), ' ', h('span', { class: 'log-level' }, level), ' ', h('span', { class: 'log-from' }, from), ' ', message);
  void read();
  const timer = setInterval(() => {
    if (app.online.get() && !document.hidden) void read();
  }, EVERY);
  scope.add(() => clearInterval(timer));
}
