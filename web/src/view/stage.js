/** The canvas. @module */
/** @import {App} from '../app.js' */

/** Show the file on the canvas. @param {App} _app @param {HTMLElement} _element */
export function mountStage(_app, _element) {}
