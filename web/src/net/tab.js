/**
 * What the browser shows of a run when the page is not looked at: the tab's title, and a notification at the end.
 *
 * @module
 */

/** @import {App, RunState} from '../app.js' */
import { t } from '../util/i18n.js';

/** @param {App} app */
export function showInTab(app) {
  const show = () => {
    const { label, name } = app.session.get().file.get();
    const file = (name ?? label) || 'nodegraph';
    document.title = titleOf(app.run.get(), file);
  };
  /** @type {() => void} */
  let stop = () => {};
  app.session.subscribe((session) => {
    stop();
    stop = session.file.subscribe(show);
    show();
  }, true);
  app.run.subscribe(show);
  app.ended.subscribe((ended) => {
    if (ended) notify(app, ended.run, ended.session.file.get().label, ended.error);
  });
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
 * @param {RunState} run
 * @param {string} file
 */
export function titleOf(run, file) {
  const name = file === 'nodegraph' ? file : `${file} – nodegraph`;
  if (run.state === 'queued') return `… · ${name}`;
  return run.state === 'running' ? `${Math.round(fractionOf(run) * 100)} % · ${name}` : name;
}

/**
 * @param {App} app
 * @param {RunState} run
 * @param {string} file
 * @param {string} [error]
 */
function notify(app, run, file, error) {
  if (!app.settings.get().notify || !document.hidden || typeof Notification === 'undefined' || Notification.permission !== 'granted') return;
  const body = run.state === 'failed' ? run.problems[0]?.message ?? error ?? '' : '';
  new Notification(t(`run.ended.${run.state}`, { file: file || 'nodegraph' }), { body, tag: run.job ?? undefined, icon: 'icon.svg' });
}
