/** Menu, open files, and the button that runs. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountHeader(_app, _element) {}
