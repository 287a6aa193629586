/** Runs, the queue and the checker, live from the server. @module */
/** @import {App} from '../app.js' */

/** Connect, and stay connected. @param {App} _app */
export async function startLive(_app) {}
