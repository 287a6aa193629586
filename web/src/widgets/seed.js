/**
 * Seeds: a number of up to 64 bits, and what becomes of it after each run. That is kept in the browser, by file and node:
 * a file says the seed that its picture was made with, and nothing of the next.
 *
 * @module
 */

/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph, InputSpec, Raw, Scalar} from '../model/types.js' */
/** @import {Frame, Control} from './frame.js' */
/** @import {Num} from './numbers.js' */
import { readJson, writeJson } from '../app.js';
import { defaultOf, specOf } from '../model/catalogue.js';
import { setInput, setParam } from '../model/graph.js';
import { refOf } from '../model/values.js';
import { h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { numberControl } from './number.js';
import { exactLimit, narrow } from './numbers.js';
import { paramOf } from '../model/params.js';

/** @typedef {'fixed' | 'increment' | 'decrement' | 'randomize'} SeedControl */

/** @type {readonly SeedControl[]} */
export const CONTROLS = ['fixed', 'increment', 'decrement', 'randomize'];
const KEY = 'nodegraph.seeds';

/**
 * What becomes of the seeds of an open file, by the `uid` of their node, so that renaming one does not lose it.
 * @type {WeakMap<Session, Map<string, SeedControl>>}
 */
const open = new WeakMap();

/** @param {Session} session */
function fileKey(session) {
  const { name, label } = session.file.get();
  return name ?? (label || 'untitled');
}

/**
 * @param {App} app
 * @param {Session} session
 */
function controlsOf(app, session) {
  const known = open.get(session);
  if (known) return known;
  const { nodes } = session.graph.get();
  /** @type {Map<string, SeedControl>} */
  const controls = new Map();
  for (const [key, control] of Object.entries(readJson(app.storage, KEY)[fileKey(session)] ?? {})) {
    const node = nodes.get(key.slice(0, key.indexOf('.')));
    if (node && CONTROLS.includes(control)) controls.set(`${node.uid}${key.slice(key.indexOf('.'))}`, control);
  }
  open.set(session, controls);
  session.file.subscribe(() => keep(app, session));
  return controls;
}

/**
 * Keep the controls for when the file is opened again.
 * @param {App} app
 * @param {Session} session
 */
function keep(app, session) {
  const ids = new Map([...session.graph.get().nodes.values()].map(({ uid, id }) => [String(uid), id]));
  /** @type {Map<string, SeedControl>} */
  const ofFile = new Map();
  for (const [key, control] of controlsOf(app, session)) {
    const id = ids.get(key.slice(0, key.indexOf('.')));
    if (id !== undefined && control !== 'fixed') ofFile.set(id + key.slice(key.indexOf('.')), control);
  }
  const files = new Map(Object.entries(readJson(app.storage, KEY)));
  files.delete(fileKey(session));
  if (ofFile.size) files.set(fileKey(session), Object.fromEntries(ofFile));
  // The newest come last: what was not touched for two hundred files goes.
  writeJson(app.storage, KEY, Object.fromEntries([...files].slice(-200)));
}

/**
 * What becomes of a seed after a run.
 * @param {App} app
 * @param {Session} session
 * @param {string} id
 * @param {string} input
 * @returns {SeedControl}
 */
export function controlOf(app, session, id, input) {
  const uid = session.graph.get().nodes.get(id)?.uid;
  return controlsOf(app, session).get(`${uid}.${input}`) ?? 'fixed';
}

/**
 * @param {App} app
 * @param {Session} session
 * @param {string} id
 * @param {string} input
 * @param {SeedControl} control
 */
export function setControl(app, session, id, input, control) {
  const uid = session.graph.get().nodes.get(id)?.uid;
  if (uid === undefined) return;
  controlsOf(app, session).set(`${uid}.${input}`, control);
  keep(app, session);
}

/**
 * A seed anywhere in its range, each as likely as the others.
 * @param {InputSpec} input
 * @returns {Num}
 */
export function randomSeed(input) {
  const { min, max } = rangeOf(input);
  const count = max - min + 1n;
  // What is beyond the last whole multiple of the range would make small seeds likelier.
  const limit = (1n << 64n) - ((1n << 64n) % count);
  for (;;) {
    const [high, low] = crypto.getRandomValues(new Uint32Array(2));
    const number = (BigInt(high ?? 0) << 32n) | BigInt(low ?? 0);
    if (number < limit) return narrow(min + (number % count));
  }
}

/** @param {InputSpec} input */
function rangeOf(input) {
  const [min, max] = [exactLimit(input.min) ?? 0, exactLimit(input.max) ?? (1n << 64n) - 1n];
  return { min: BigInt(min), max: BigInt(max) };
}

/**
 * The seed for the next run.
 * @param {Raw} seed
 * @param {SeedControl} control
 * @param {InputSpec} input
 * @returns {Num | null} null if it stays
 */
export function nextSeed(seed, control, input) {
  if (control === 'fixed' || (typeof seed !== 'number' && typeof seed !== 'bigint')) return null;
  if (control === 'randomize') return randomSeed(input);
  const { min, max } = rangeOf(input);
  const next = BigInt(typeof seed === 'number' ? Math.trunc(seed) : seed) + (control === 'increment' ? 1n : -1n);
  return narrow(next > max ? min : next < min ? max : next);
}

/**
 * Give the seeds of a file those for its next run, as their controls say; to be called when a run was queued. One that
 * several nodes share as a parameter is changed once.
 * @param {App} app
 * @param {Session} session
 */
export function advanceSeeds(app, session) {
  return session.edit('widget.edit.seeds', (graph) => {
    /** @type {Set<string>} */
    const done = new Set();
    let changed = graph;
    for (const node of graph.nodes.values()) {
      for (const input of specOf(app.catalogue.get(), node, graph).inputs) {
        if (input.control) changed = advance(changed, node.id, input, controlOf(app, session, node.id, input.name), done);
      }
    }
    return changed;
  });
}

/**
 * @param {Graph} graph
 * @param {string} id
 * @param {InputSpec} input
 * @param {SeedControl} control
 * @param {Set<string>} done the parameters that were changed already
 * @returns {Graph}
 */
function advance(graph, id, input, control, done) {
  const raw = graph.nodes.get(id)?.inputs.get(input.name);
  const param = paramOf(graph, raw);
  if (refOf(raw) && !param) return graph;
  const next = nextSeed(param ? param.value ?? 0 : raw ?? defaultOf(input), control, input);
  if (next === null || (param && done.has(param.name))) return graph;
  if (!param) return setInput(graph, id, input.name, next);
  done.add(param.name);
  return setParam(graph, param.name, /** @type {Scalar} */ (next));
}

/** @param {Frame} frame @returns {Control} */
export function seedControl(frame) {
  const { app, session, id, input } = frame.context;
  const number = numberControl(frame);
  const dice = h('button', {
    type: 'button', class: 'widget-button', title: t('widget.seed.new'), 'aria-label': t('widget.seed.new.of', { name: input.name }),
    onclick: () => frame.set(randomSeed(frame.input)),
  }, icon('dice'));
  const options = CONTROLS.map((control) => h('option', { value: control }, t(`widget.seed.${control}`)));
  const select = h('select', {
    'aria-label': t('widget.seed.control', { name: input.name }),
    onchange: () => {
      setControl(app, session, id, input.name, /** @type {SeedControl} */ (select.value));
      showControl();
    },
  }, ...options);
  const picture = h('span', { class: 'seed-icon' });
  let shown = '';
  const showControl = () => {
    const control = controlOf(app, session, id, input.name);
    if (control === shown) return;
    shown = control;
    select.value = control;
    select.title = t(`widget.seed.${control}.help`);
    picture.replaceChildren(icon(`seed-${control}`));
  };
  number.element.append(dice, h('span', { class: 'seed-control' }, picture, select));
  showControl();
  return {
    ...number,
    disable: (disabled) => void (dice.disabled = select.disabled = disabled),
    show(value, isDefault) {
      number.show(value, isDefault);
      showControl();
    },
  };
}
