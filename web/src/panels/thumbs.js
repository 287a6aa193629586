/** Pictures as small buttons that show them large, and what they have in common. @module */
/** @import {App, Picture} from '../app.js' */
import { h } from '../util/h.js';
import { t } from '../util/i18n.js';

/**
 * A picture that shows itself and its neighbours large when it is pressed.
 * @param {App} app
 * @param {readonly Picture[]} pictures
 * @param {number} index
 * @param {{onPress?: (event: Event) => void, large?: boolean}} [options]
 */
export function thumb(app, pictures, index, { onPress, large = false } = {}) {
  const picture = /** @type {Picture} */ (pictures[index]);
  return h('button', {
    type: 'button', class: 'thumb', title: picture.name, 'aria-label': t('gallery.open', { name: picture.name }),
    onclick: onPress ?? (() => show(app, pictures, index)),
  }, h('img', { src: large ? picture.file : picture.thumbnail, alt: '', loading: 'lazy', decoding: 'async', draggable: false }));
}

/** @param {App} app @param {readonly Picture[]} pictures @param {number} [index] */
export function show(app, pictures, index = 0) {
  app.actions.run('gallery.show', new CustomEvent('show', { detail: { pictures, index } }));
}

/** A time as people read it: today's without its date. @param {number} seconds since 1970 @param {string} language */
export function timeText(seconds, language) {
  const date = new Date(seconds * 1000);
  const today = date.toDateString() === new Date().toDateString();
  return date.toLocaleString(language, today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' });
}

/** How long something took. @param {number} seconds */
export function durationText(seconds) {
  if (seconds < 60) return t('panel.seconds', { seconds: seconds < 10 ? seconds.toFixed(1) : String(Math.round(seconds)) });
  return t('panel.minutes', { minutes: Math.floor(seconds / 60), seconds: Math.round(seconds % 60) });
}

/** Bytes as people read them. @param {number} bytes */
export function sizeText(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let at = 0;
  let value = bytes;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}
