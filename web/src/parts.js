/**
 * Sub-workflows on the canvas: the files that nodes use, as node types; going into one, and making one of a selection.
 *
 * @module
 */

/** @import {App} from './app.js' */
/** @import {Catalogue} from './model/catalogue.js' */
/** @import {NodeSpec} from './model/types.js' */
import { openName, textOf } from './files.js';
import { extractPart, isPart, partName, partSpec } from './model/parts.js';
import { writeGraph } from './model/patch.js';
import { readText } from './model/read.js';
import { isName } from './model/values.js';
import { address, name as piece, request } from './net/api.js';
import { askText } from './util/dialog.js';
import { t } from './util/i18n.js';

/** @param {App} app */
export function followParts(app) {
  const parts = new Parts(app);
  app.session.subscribe(() => parts.follow(), true);
  app.actions.add(
    { id: 'part.make', label: 'part.make', group: 'menu.node', keys: ['Ctrl+Shift+KeyE'], run: () => void make(app), enabled: () => selectedIds(app).size > 0 },
    { id: 'part.enter', label: 'part.enter', group: 'menu.node', keys: ['Ctrl+Alt+KeyE'], run: () => void enter(app), enabled: () => pathOf(app) !== null },
  );
}

/** @param {App} app */
function selectedIds(app) {
  const { nodes } = app.session.get().graph.get();
  return new Set([...app.session.get().selection.get()].filter((key) => nodes.has(key)));
}

/** The name of the file that the selected node uses. @param {App} app @returns {string | null} */
function pathOf(app) {
  const [id] = selectedIds(app);
  const session = app.session.get();
  const uses = id === undefined ? '' : session.graph.get().nodes.get(id)?.uses ?? '';
  const { name } = session.file.get();
  return isPart(uses) && name !== null ? partName(name, uses) : null;
}

/** @param {App} app */
async function enter(app) {
  const name = pathOf(app);
  if (name) await openName(app, name);
}

/** Put what is selected into a file beside this one. @param {App} app */
async function make(app) {
  const session = app.session.get();
  const { name: from } = session.file.get();
  if (from === null) {
    app.say('warning', t('part.unsaved'), { hint: t('part.unsaved.hint'), action: { label: t('file.save'), run: () => app.actions.run('file.save') } });
    return;
  }
  const check = (/** @type {string} */ text) => (isName(text) ? null : t('edit.rename.bad'));
  const name = await askText({ title: t('part.make'), label: t('file.name'), value: 'part', ok: t('file.save.ok'), check });
  if (name === null) return;
  const uses = `./${name}.yaml`;
  const made = extractPart(session.graph.get(), selectedIds(app), app.catalogue.get(), { name, uses });
  try {
    const path = /** @type {string} */ (partName(from, uses));
    await request('PUT', address(`workflows/${piece(path)}`), { text: writeGraph(made.part), headers: { 'If-None-Match': '*' } });
  } catch (error) {
    const taken = /** @type {{status?: number}} */ (error).status === 412;
    app.sayError(taken ? { message: t('edit.rename.taken', { name: uses }) } : error);
    return;
  }
  if (session.edit('part.make', () => made.graph)) session.selection.set(new Set([made.id]));
}

/** The files that the shown one uses, kept among the node types. */
class Parts {
  /** @param {App} app */
  constructor(app) {
    this.app = app;
    /** Node types of files by `uses`, for the shown file. @type {Map<string, NodeSpec>} */
    this.specs = new Map();
    /** The catalogue with them in it. @type {Catalogue | null} */
    this.shown = null;
    /** @type {() => void} */
    this.end = () => {};
    app.catalogue.subscribe(() => this.#mix());
  }

  /** Look at another file from now on. */
  follow() {
    this.end();
    this.specs = new Map();
    const session = this.app.session.get();
    this.end = session.graph.subscribe(() => void this.#load(), true);
  }

  async #load() {
    const session = this.app.session.get();
    const { name: from } = session.file.get();
    if (from === null) return;
    const wanted = new Set([...session.graph.get().nodes.values()].map(({ uses }) => uses).filter((uses) => isPart(uses) && !this.specs.has(uses)));
    for (const uses of wanted) {
      const path = partName(from, uses);
      if (path === null) continue;
      try {
        const { graph } = readText((await textOf(`workflows/${piece(path)}`)).text);
        if (!graph || session !== this.app.session.get()) continue;
        this.specs.set(uses, partSpec(uses, graph, this.app.catalogue.get()));
        this.#mix(true);
      } catch {
        // It stays a node of an unknown type; the checker says that the file is not there.
      }
    }
  }

  /** @param {boolean} [isMore] whether there is one that the catalogue lacks, though nobody else has changed it */
  #mix(isMore = false) {
    const { catalogue } = this.app;
    const base = catalogue.get();
    if ((base === this.shown && !isMore) || !this.specs.size) return;
    this.shown = { ...base, specs: new Map([...base.specs, ...this.specs]) };
    catalogue.set(this.shown);
  }
}
