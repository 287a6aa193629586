/** What is said to the reader. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountMessages(_app, _element) {}
