/** Keys to actions. @module */
/** @import {App} from '../app.js' */

/** @param {App} _app */
export function mountKeys(_app) {}
