/** Opening, saving and keeping files. @module */
/** @import {App} from './app.js' */

/** Open what was open, or the first example. @param {App} _app */
export async function startFiles(_app) {}
