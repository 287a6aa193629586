/**
 * What the rooms of the page share. A room is a module with `mount…(app, element)`; rooms know the app and the model, and
 * nothing of each other, but for what they offer as actions (`app.actions`) and signals.
 *
 * @module
 */

/** @import {Catalogue} from './model/catalogue.js' */
/** @import {Problem} from './model/types.js' */
/** @import {ServerEvent} from './net/events.js' */
/** @import {Signal} from './util/signal.js' */
import { Actions } from './actions.js';
import { EMPTY_CATALOGUE } from './model/catalogue.js';
import { Session } from './model/session.js';
import { setLanguage, t } from './util/i18n.js';
import { signal } from './util/signal.js';

/**
 * A picture that a node made. Addresses are those of the server.
 * @typedef {{id: string, name: string, file: string, thumbnail: string, width: number, height: number}} Picture
 */

/**
 * What a run has come to at a node: `value` of `total` steps. `preview` is the address of what it shows meanwhile.
 * @typedef {{
 *   state: 'waiting' | 'running' | 'done' | 'cached' | 'failed' | 'skipped',
 *   value?: number, total?: number, seconds?: number, problem?: Problem, preview?: string,
 *   pictures?: readonly Picture[], shown?: Record<string, unknown>, message?: string,
 * }} NodeRun
 */

/**
 * The run that the canvas shows: the last one that was queued from this file. `done` of `total` nodes have ended.
 * @typedef {{
 *   job: string | null, state: 'none' | 'queued' | 'running' | 'done' | 'failed' | 'cancelled' | 'interrupted',
 *   done: number, total: number, nodes: ReadonlyMap<string, NodeRun>, problems: readonly Problem[], started: number | null,
 * }} RunState
 */

/** @type {RunState} */
export const NO_RUN = { job: null, state: 'none', done: 0, total: 0, nodes: new Map(), problems: [], started: null };

/**
 * What a run would do, by node: whether it runs, and why. `text` is the reason in words.
 * @typedef {ReadonlyMap<string, {runs: boolean, reason: string, text: string}>} Plan
 */

/**
 * @typedef {{
 *   theme: 'system' | 'light' | 'dark', contrast: boolean, language: string | null,
 *   wheel: 'zoom' | 'scroll', drag: 'pan' | 'select', snap: boolean, minimap: boolean, links: 'curved' | 'straight' | 'hidden',
 *   previews: boolean, autoQueue: boolean, notify: boolean, yaml: boolean, yamlWidth: number, side: string | null, sideWidth: number,
 * }} Settings
 */

/** @type {Settings} */
const DEFAULTS = {
  theme: 'system', contrast: false, language: null, wheel: 'zoom', drag: 'pan', snap: false, minimap: true, links: 'curved',
  previews: true, autoQueue: false, notify: false, yaml: true, yamlWidth: 420, side: null, sideWidth: 280,
};

const SETTINGS_KEY = 'nodegraph.settings';

/**
 * A view of the canvas: what is at its corner, and the scale. @typedef {{x: number, y: number, scale: number}} Camera
 */

/**
 * @typedef {'info' | 'success' | 'warning' | 'error'} Tone
 */

export class App {
  /** @param {{storage?: Storage | null}} [options] */
  constructor({ storage = null } = {}) {
    this.storage = storage;
    this.actions = new Actions();
    /** @type {Signal<Settings>} */
    this.settings = signal({ ...DEFAULTS, ...readJson(storage, SETTINGS_KEY) });
    this.settings.subscribe((settings) => writeJson(storage, SETTINGS_KEY, settings));
    /** @type {Signal<string>} */
    this.language = signal(setLanguage(this.settings.get().language));
    /** @type {Signal<Catalogue>} */
    this.catalogue = signal(EMPTY_CATALOGUE);
    /** Kinds of model files to their names. @type {Signal<ReadonlyMap<string, readonly string[]>>} */
    this.models = signal(/** @type {ReadonlyMap<string, readonly string[]>} */ (new Map()));
    /** The open files; there is always one. @type {Signal<readonly Session[]>} */
    this.sessions = signal(/** @type {readonly Session[]} */ ([new Session('nodegraph: 1\nnodes: {}\n')]));
    /** The file that is shown. @type {Signal<Session>} */
    this.session = signal(/** @type {Session} */ (this.sessions.get()[0]));
    /** Mistakes of the shown file, by the server's checker or of the text. @type {Signal<readonly Problem[]>} */
    this.problems = signal(/** @type {readonly Problem[]} */ ([]));
    /** @type {Signal<Plan>} */
    this.plan = signal(/** @type {Plan} */ (new Map()));
    /** @type {Signal<RunState>} */
    this.run = signal(NO_RUN);
    /** @type {Signal<{queued: number, running: number, paused: boolean}>} */
    this.queue = signal(/** @type {{queued: number, running: number, paused: boolean}} */ ({ queued: 0, running: 0, paused: false }));
    /** How often a run is queued at once. @type {Signal<number>} */
    this.batch = signal(1);
    /** What the server told last; each event in turn. @type {Signal<ServerEvent | null>} */
    this.event = signal(/** @type {ServerEvent | null} */ (null));
    /** The run that ended last, of any of the open files. @type {Signal<{session: Session, run: RunState, error?: string} | null>} */
    this.ended = signal(/** @type {any} */ (null));
    /** Whether the server answers. @type {Signal<boolean>} */
    this.online = signal(true);
    /** @type {Signal<Camera>} */
    this.camera = signal({ x: 0, y: 0, scale: 1 });
    /** What is said to the reader, the newest last. @type {Signal<readonly {id: number, tone: Tone, text: string, hint?: string, action?: {label: string, run: () => void}}[]>} */
    this.messages = signal(/** @type {any} */ ([]));
    this.lastMessage = 0;
    /** What screen readers are told. @type {Signal<string>} */
    this.announced = signal('');
    /** Where the pointer is over the canvas, in its units; null while it is elsewhere. @type {{x: number, y: number} | null} */
    this.pointer = null;
    /** What the canvas shows the middle of; the canvas sets it. @type {() => {x: number, y: number}} */
    this.middle = () => ({ x: 0, y: 0 });
  }

  /** Tell screen readers what has happened, where the page shows it. @param {string} text */
  announce(text) {
    this.announced.set('');
    this.announced.set(text);
  }

  /**
   * Show a file among the open ones.
   * @param {Session} session
   */
  open(session) {
    if (!this.sessions.get().includes(session)) this.sessions.update((all) => [...all, session]);
    this.session.set(session);
  }

  /** @param {Partial<Settings>} change */
  set(change) {
    this.settings.update((settings) => ({ ...settings, ...change }));
  }

  /**
   * Tell the reader something. Errors stay until they are dismissed.
   * @param {Tone} tone
   * @param {string} text already in the reader's language
   * @param {{hint?: string, action?: {label: string, run: () => void}}} [more]
   */
  say(tone, text, more = {}) {
    this.lastMessage += 1;
    const message = { id: this.lastMessage, tone, text, ...more };
    // What is said again takes the place of what was said before.
    this.messages.update((all) => [...all.filter((other) => other.text !== text || other.tone !== tone).slice(-9), message]);
    return message.id;
  }

  /** Say what went wrong with a request. @param {unknown} error */
  sayError(error) {
    const { message, hint } = /** @type {{message?: string, hint?: string}} */ (error ?? {});
    this.say('error', message ?? t('error.unknown'), hint ? { hint } : {});
  }
}

/**
 * @param {Storage | null} storage
 * @param {string} key
 */
export function readJson(storage, key) {
  try {
    return JSON.parse(storage?.getItem(key) ?? 'null') ?? {};
  } catch {
    return {};
  }
}

/**
 * Keep something for the next visit. Where there is no room for it, it is just not known then.
 * @param {Storage | null} storage
 * @param {string} key
 * @param {unknown} value
 */
export function writeJson(storage, key, value) {
  try {
    storage?.setItem(key, JSON.stringify(value));
  } catch {
    // The storage is full, or may not be used.
  }
}
