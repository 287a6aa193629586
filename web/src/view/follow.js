/**
 * What the canvas hears of the rest of the page, and the camera of each file.
 *
 * @module
 */

/** @import {Camera} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Problem} from '../model/types.js' */
/** @import {Stage} from './stage.js' */
import { t } from '../util/i18n.js';
import { fit } from './camera.js';
import { around } from './geometry.js';
import { readPalette } from './paint.js';
import { GRAPH, MAP, STATE, VIEW } from './scheduler.js';
import { Scene } from './scene.js';

/** @param {Stage} stage */
export function follow(stage) {
  const { app, scheduler } = stage;
  followSession(stage);
  app.camera.subscribe(() => scheduler.mark(VIEW | MAP));
  app.catalogue.subscribe(() => scheduler.mark(GRAPH));
  app.plan.subscribe(() => scheduler.mark(STATE));
  app.run.subscribe(() => followRun(stage), true);
  app.problems.subscribe((problems) => {
    stage.problems = byNode(problems, stage.problems);
    scheduler.mark(STATE);
  }, true);
  app.settings.subscribe((now, before) => {
    if (now.theme !== before.theme || now.contrast !== before.contrast) repaint(stage);
    if (now.previews !== before.previews) followRun(stage);
    scheduler.mark(VIEW | MAP);
  });
  app.language.subscribe(() => {
    stage.element.setAttribute('aria-label', t('view.canvas'));
    stage.clear();
  });
  for (const query of ['(prefers-color-scheme: dark)', '(prefers-contrast: more)']) {
    matchMedia(query).addEventListener('change', () => repaint(stage));
  }
  new ResizeObserver(() => stage.measure()).observe(stage.element);
  addEventListener('resize', () => stage.measure());
}

/** The theme may change after those who ask for it have. @param {Stage} stage */
function repaint(stage) {
  requestAnimationFrame(() => {
    stage.palette = readPalette(stage.element);
    stage.scheduler.mark(STATE | VIEW | MAP);
  });
}

/**
 * Each file keeps its camera; one that is shown for the first time is fitted in, again when the sizes of its nodes come.
 * @param {Stage} stage
 */
function followSession(stage) {
  const { app, scheduler } = stage;
  /** @type {WeakMap<Session, Camera>} */
  const cameras = new WeakMap();
  /** @type {Camera | null} */
  let fitted = null;
  let forget = () => {};
  const frameIt = () => {
    const all = around(stage.catchUp().boxes.values());
    if (!all || !stage.width) return;
    fitted = fit(all, stage);
    app.camera.set(fitted);
  };
  app.session.subscribe((session, before) => {
    forget();
    if (before !== session) cameras.set(before, app.camera.get());
    stage.scene = new Scene();
    stage.clear();
    const known = cameras.get(session);
    fitted = null;
    stage.measure();
    if (known) app.camera.set(known);
    else frameIt();
    const subscriptions = [
      session.graph.subscribe((_graph, previous) => {
        // The first nodes of an empty file, as when it is still being read.
        if (previous.nodes.size === 0 && !fitted && !cameras.has(session) && session.graph.get().nodes.size > 1) frameIt();
        scheduler.mark(GRAPH);
      }),
      session.selection.subscribe((selection) => {
        if (selection.size) stage.mark(null);
        scheduler.mark(STATE | VIEW | MAP);
      }),
    ];
    forget = () => subscriptions.forEach((stop) => stop());
  }, true);
  app.catalogue.subscribe(() => {
    if (app.camera.get() === fitted) frameIt();
  });
}

/** Nodes that begin to show pictures grow. @param {Stage} stage */
function followRun(stage) {
  const { app, scheduler } = stage;
  /** @type {Set<string>} */
  const pictured = new Set();
  const previews = app.settings.get().previews;
  for (const [id, { pictures, preview }] of app.run.get().nodes) {
    if (pictures?.length || (preview && previews)) pictured.add(id);
  }
  const same = pictured.size === stage.pictured.size && [...pictured].every((id) => stage.pictured.has(id));
  if (!same) stage.pictured = pictured;
  scheduler.mark(same ? STATE : GRAPH);
}

/**
 * Problems by node; a node whose problems stay keeps its list, so that it need not be told again.
 * @param {readonly Problem[]} problems
 * @param {ReadonlyMap<string, readonly Problem[]>} known
 * @returns {ReadonlyMap<string, readonly Problem[]>}
 */
function byNode(problems, known) {
  /** @type {Map<string, Problem[]>} */
  const found = new Map();
  for (const problem of problems) {
    if (problem.node === undefined) continue;
    const list = found.get(problem.node);
    if (list) list.push(problem);
    else found.set(problem.node, [problem]);
  }
  return new Map([...found].map(([id, list]) => {
    const old = known.get(id);
    const same = old?.length === list.length && list.every((problem, i) => alike(problem, /** @type {Problem} */ (old[i])));
    return [id, same && old ? old : list];
  }));
}

/**
 * @param {Problem} a
 * @param {Problem} b
 */
function alike(a, b) {
  return a.code === b.code && a.input === b.input && a.message === b.message && a.hint === b.hint && a.severity === b.severity;
}
