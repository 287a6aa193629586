/** Questions and lists over the page. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountDialogs(_app, _element) {}
