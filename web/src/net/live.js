/**
 * Runs, the queue and the checker, live from the server.
 *
 * Adds the actions `run.queue`, `run.queueFront`, `run.cancel` and `run.auto`, and keeps `app.catalogue`, `app.models`,
 * `app.problems`, `app.plan`, `app.run`, `app.queue`, `app.online` and `app.event` up to date.
 *
 * @module
 */

/** @import {App} from '../app.js' */
import { readCatalogue } from '../model/catalogue.js';
import { t } from '../util/i18n.js';
import { ApiError, address, api, getIfChanged } from './api.js';
import { Checker } from './check.js';
import { Events } from './events.js';
import { showInTab } from './tab.js';
import { Runs } from './runs.js';

/** How long a changed file rests before it is queued by itself, in milliseconds. */
const AUTO_REST = 600;
/** After how long out of sight the line is made anew, in milliseconds. */
const LONG_AWAY = 60_000;

/** Connect, and stay connected. @param {App} app */
export async function startLive(app) {
  const runs = new Runs(app);
  const checker = new Checker(app);
  const load = loader(app);
  addActions(app, runs);
  showInTab(app);
  queueByItself(app, runs);
  app.sessions.subscribe((sessions) => void Promise.all(sessions.map((session) => runs.restore(session))), true);
  app.ended.subscribe(() => checker.again());
  app.catalogue.subscribe(() => checker.again());
  const events = connect(app, runs, checker, load);
  runs.lastSeen = () => events.after;
  app.settings.subscribe(({ previews }, before) => {
    if (previews !== before.previews) events.reconnect();
  });
  window.addEventListener('online', () => events.connect());
  whenBack(() => events.reconnect());
  app.actions.add(
    { id: 'net.connect', label: 'net.connect', group: '', run: () => events.connect() },
    {
      id: 'run.sweep', label: 'form.sweep', group: '',
      run: (event) => void runs.sweep(/** @type {CustomEvent} */ (event).detail.over),
    },
  );
  events.connect();
  await load();
}

/**
 * @param {App} app
 * @param {Runs} runs
 * @param {Checker} checker
 * @param {() => Promise<void>} load
 */
function connect(app, runs, checker, load) {
  return new Events({
    after: runs.keptSince(),
    url: (after) => {
      const url = new URL(address('events', { after, previews: app.settings.get().previews }), document.baseURI);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return url.href;
    },
    onEvent(event) {
      if (event.kind === 'queue') app.queue.set(/** @type {any} */ (event.data));
      runs.take(event);
      app.event.set(event);
    },
    onUp(again) {
      app.online.set(true);
      checker.again();
      if (again) void Promise.all([load(), runs.catchUp()]);
    },
    onDown() {
      app.online.set(false);
      void askWhy(app);
    },
  });
}

/**
 * A computer that has slept may hold a line that is dead without knowing it.
 * @param {() => void} run
 */
function whenBack(run) {
  let since = Infinity;
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) since = Date.now();
    else if (Date.now() - since > LONG_AWAY) run();
  });
}

/** A server that wants its token does not say so to a websocket. @param {App} app */
async function askWhy(app) {
  try {
    await api.get('queue');
  } catch (error) {
    if (!(error instanceof ApiError) || error.status !== 401 || app.messages.get().some(({ text }) => text === error.message)) return;
    const login = { label: t('net.login.open'), run: () => window.location.reload() };
    app.say('error', error.message, { hint: error.hint, action: login });
  }
}

/**
 * What gets node types, models and the queue's state anew, as far as they have changed.
 * @param {App} app
 * @returns {() => Promise<void>}
 */
function loader(app) {
  /** @type {Record<string, string | null>} */
  const tags = { nodes: null, models: null };
  /** @param {'nodes' | 'models'} path @param {(data: any) => void} take */
  async function refresh(path, take) {
    const found = await getIfChanged(path, tags[path] ?? null);
    if (!found) return;
    tags[path] = found.etag;
    take(found.data);
  }
  async function load() {
    try {
      await Promise.all([
        refresh('nodes', (data) => app.catalogue.set(readCatalogue(data))),
        refresh('models', (data) => app.models.set(new Map(Object.entries(data.models)))),
        api.get('queue').then((queue) => app.queue.set(queue)),
      ]);
    } catch (error) {
      // That nobody answers is shown as such, and it is tried again once somebody does.
      if (!(error instanceof ApiError) || !['offline', 'not_logged_in'].includes(error.code)) app.sayError(error);
    }
  }
  app.actions.add({
    id: 'run.refresh', label: 'run.refresh', group: 'menu.run', keys: ['KeyR'],
    run: async (event) => {
      await load();
      if (!(/** @type {CustomEvent | undefined} */ (event)?.detail?.quiet)) app.say('info', t('run.refreshed', { nodes: app.catalogue.get().specs.size }));
    },
  });
  return load;
}

/** @param {App} app @param {Runs} runs */
function addActions(app, runs) {
  app.actions.add(
    { id: 'run.queue', label: 'run.queue', group: 'menu.run', keys: ['Ctrl+Enter'], anywhere: true, run: () => runs.queue() },
    { id: 'run.queueFront', label: 'run.queueFront', group: 'menu.run', keys: ['Ctrl+Shift+Enter'], anywhere: true, run: () => runs.queue({ front: true }) },
    { id: 'run.cancel', label: 'run.cancel', group: 'menu.run', keys: ['Ctrl+Alt+Enter'], anywhere: true, run: () => runs.cancel() },
    {
      id: 'run.auto', label: 'run.auto', group: 'menu.run', checked: () => app.settings.get().autoQueue,
      run: () => app.set({ autoQueue: !app.settings.get().autoQueue }),
    },
  );
}

/**
 * With the setting on, queue the shown file whenever it has changed in what a run is made of, and nothing of it waits.
 * @param {App} app
 * @param {Runs} runs
 */
function queueByItself(app, runs) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  /** @type {() => void} */
  let stop = () => {};
  let wanted = false;
  const tryNow = () => {
    if (!wanted || !app.settings.get().autoQueue || !app.online.get() || runs.hasOpen) return;
    wanted = false;
    void runs.queue({ quiet: true });
  };
  app.session.subscribe((session) => {
    stop();
    clearTimeout(timer);
    wanted = false;
    stop = session.graph.subscribe((graph, before) => {
      if (!app.settings.get().autoQueue || runs.advancing || !runsOtherwise(graph, before)) return;
      wanted = true;
      clearTimeout(timer);
      timer = setTimeout(tryNow, AUTO_REST);
    });
  }, true);
  app.ended.subscribe(tryNow);
  app.settings.subscribe(({ autoQueue }, before) => {
    if (!autoQueue || before.autoQueue) return;
    wanted = true;
    tryNow();
  });
}

/** Whether a run of one graph may differ from one of another. @param {import('../model/types.js').Graph} a @param {import('../model/types.js').Graph} b */
function runsOtherwise(a, b) {
  return a.nodes !== b.nodes || a.params !== b.params || a.outputs !== b.outputs || a.extra !== b.extra;
}
