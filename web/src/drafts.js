/**
 * What is open, kept by the browser: it survives a reload and a crash.
 *
 * Each window keeps its own; windows that have gone leave theirs to the next one that opens. A window holds a lock while
 * it lives, by which the others know.
 *
 * @module
 */

/** @import {App} from './app.js' */
/** @import {File, Session} from './model/session.js' */
import { readJson } from './app.js';
import { t } from './util/i18n.js';

const PREFIX = 'nodegraph.drafts.';
const LOCK = 'nodegraph-window-';
const WINDOW_KEY = 'nodegraph.window';
const PAUSE = 500;

/** @typedef {{text: string, saved: string, file: File, open: boolean}} Draft */

let windowId = '';

/**
 * The files that were open in this window, or in one that has gone.
 * @param {Storage | null} storage
 * @returns {Promise<Draft[]>}
 */
export async function restoreDrafts(storage) {
  const alive = await liveWindows();
  const former = sessionItem();
  const isMine = former !== null && !alive.has(former);
  windowId = isMine ? former : Math.random().toString(36).slice(2, 10);
  keepLock(windowId);
  try {
    sessionStorage.setItem(WINDOW_KEY, windowId);
  } catch {
    // Then a reload begins like a new window, which takes over what the former one left.
  }
  if (!storage) return [];
  const own = isMine || former === null ? [] : readDrafts(storage, former);
  if (own.length) return own;
  const keys = Object.keys(storage).filter((key) => key.startsWith(PREFIX) && !alive.has(key.slice(PREFIX.length)));
  const mine = PREFIX + windowId;
  const from = keys.includes(mine) ? mine : keys.sort((a, b) => savedAt(storage, b) - savedAt(storage, a))[0];
  if (!from) return [];
  const drafts = readDrafts(storage, from.slice(PREFIX.length));
  if (from !== mine) storage.removeItem(from);
  return drafts;
}

function sessionItem() {
  try {
    return sessionStorage.getItem(WINDOW_KEY);
  } catch {
    return null;
  }
}

/** The windows of this page that are open. @returns {Promise<Set<string>>} */
async function liveWindows() {
  if (!navigator.locks) return new Set();
  const { held = [] } = await navigator.locks.query();
  return new Set(held.flatMap(({ name }) => (name?.startsWith(LOCK) ? [name.slice(LOCK.length)] : [])));
}

/** @param {string} id */
function keepLock(id) {
  void navigator.locks?.request(LOCK + id, () => new Promise(() => {}));
}

/** @param {Storage} storage @param {string} id @returns {Draft[]} */
function readDrafts(storage, id) {
  const { drafts } = readJson(storage, PREFIX + id);
  return Array.isArray(drafts) ? drafts.filter((draft) => typeof draft?.text === 'string' && typeof draft.file?.label === 'string') : [];
}

/** @param {Storage} storage @param {string} key */
function savedAt(storage, key) {
  return Number(readJson(storage, key).at) || 0;
}

/** Keep what is open from now on. @param {App} app */
export function keepDrafts(app) {
  let timer = 0;
  let told = false;
  /** While something is edited its text is behind, and what is kept follows with it; at the end nothing may be. */
  const write = (atTheEnd = false) => {
    clearTimeout(timer);
    timer = 0;
    const shown = app.session.get();
    const drafts = app.sessions.get().map((session) => draftOf(session, session === shown, atTheEnd));
    try {
      app.storage?.setItem(PREFIX + windowId, JSON.stringify({ at: Date.now(), drafts }));
      told = false;
    } catch {
      if (!told) app.say('warning', t('file.noDraft'), { hint: t('file.noDraft.hint') });
      told = true;
    }
  };
  const later = () => {
    if (!timer) timer = window.setTimeout(() => write(), PAUSE);
  };
  /** @type {WeakSet<Session>} */
  const known = new WeakSet();
  const follow = () => {
    for (const session of app.sessions.get()) {
      if (known.has(session)) continue;
      known.add(session);
      for (const signal of [session.text, session.saved, session.file, session.state]) signal.subscribe(later);
    }
    later();
  };
  app.sessions.subscribe(follow, true);
  app.session.subscribe(later);
  window.addEventListener('pagehide', () => write(true));
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'hidden') write(true);
  });
}

/** @param {Session} session @param {boolean} open @param {boolean} flush @returns {Draft} */
function draftOf(session, open, flush) {
  if (flush) session.flush();
  return { text: session.text.get(), saved: session.saved.get(), file: session.file.get(), open };
}
