/** Edits as actions. @module */
/** @import {App} from './app.js' */

/** @param {App} _app */
export function addEditing(_app) {}
