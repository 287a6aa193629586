/** The rail of panels and the panel that is open. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app @param {HTMLElement} _element */
export function mountSide(_app, _element) {}
