/**
 * Wires the rooms of the page together, and nothing else.
 *
 * @module
 */

import { App } from './app.js';
import { addEditing } from './editing.js';
import { startFiles } from './files.js';
import { mountKeys } from './input/keys.js';
import { startLive } from './net/live.js';
import { followParts } from './parts.js';
import { mountHeader } from './panels/header.js';
import { mountMessages } from './panels/messages.js';
import { mountSearch } from './panels/search.js';
import { mountSide } from './panels/side.js';
import { mountYaml } from './panels/yaml.js';
import { mountStage } from './view/stage.js';

/** @param {string} id */
function region(id) {
  return /** @type {HTMLElement} */ (document.getElementById(id));
}

/** What the browser keeps for the page, if it lets the page keep anything. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

const app = new App({ storage: storage() });
document.documentElement.lang = app.language.get();
app.settings.subscribe(({ theme, contrast }) => {
  document.documentElement.dataset.theme = theme;
  document.documentElement.dataset.contrast = contrast ? 'more' : 'system';
}, true);

addEditing(app);
mountStage(app, region('stage'));
mountHeader(app, region('header'));
mountSide(app, region('side'));
mountYaml(app, region('yaml'));
mountSearch(app, region('overlays'));
mountMessages(app, region('messages'));
mountKeys(app);
followParts(app);
// For whoever looks into the page from its console, and for tests.
Object.assign(window, { nodegraph: app });
void startLive(app);
void startFiles(app).then(() => document.documentElement.setAttribute('data-ready', ''));
