/**
 * What is told of a run: in the tab's title while it goes on; at its end in a message, and as a notification where the
 * page is not looked at.
 *
 * @module
 */

/** @import {App, RunState} from '../app.js' */
import { t } from '../util/i18n.js';
import { atTheirPlaces, toShow } from './check.js';
import { fractionOf } from './tracker.js';

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
    if (!ended) return;
    const { name, label } = ended.session.file.get();
    const file = (name ?? label) || t('file.untitled');
    tell(app, ended.run, file, ended.error);
    notify(app, ended.run, file, ended.error);
  });
}

/**
 * Say how a run ended: aloud if it went well, else with the reason and what to do.
 * @param {App} app
 * @param {RunState} run
 * @param {string} file
 * @param {string} [error]
 */
function tell(app, run, file, error) {
  const text = t(`run.ended.${run.state}`, { file });
  if (run.state === 'done' || run.state === 'cancelled') return app.announce(text);
  const [problem] = atTheirPlaces(run.problems);
  app.say('error', `${text}: ${problem?.message ?? error ?? t('error.unknown')}`, { hint: problem?.hint, ...toShow(app, problem?.node) });
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
  new Notification(t(`run.ended.${run.state}`, { file }), { body, tag: run.job ?? undefined, icon: 'icon.svg' });
}
