/** The text beside the canvas. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountYaml(_app, _element) {}
