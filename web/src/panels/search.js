/** The search for node types. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountSearch(_app, _element) {}
