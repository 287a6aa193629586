/**
 * Opening and saving files, those on the server and those on this computer.
 *
 * @module
 */

/** @import {App} from './app.js' */
/** @import {File as FileFacts} from './model/session.js' */
import { readJson } from './app.js';
import { keepDrafts, restoreDrafts } from './drafts.js';
import { showDiff } from './files_dialogs.js';
import { address, api, name as piece, request } from './net/api.js';
import { askText, choose, confirm } from './util/dialog.js';
import { h } from './util/h.js';
import { t } from './util/i18n.js';
import { autoPlace } from './util/layout.js';
import { Session } from './model/session.js';
import { readText } from './model/read.js';

const NEW_TEXT = 'nodegraph: 1\n\nnodes: {}\n';
const RECENT_KEY = 'nodegraph.recent';
const MOST_RECENT = 12;
const MOST_BYTES = 64 << 20;

/** Open what was open, or the first example. @param {App} app */
export async function startFiles(app) {
  addActions(app);
  listenForDrops(app);
  // Node types decide how large nodes are, and so where those without a place go.
  app.catalogue.subscribe(() => {
    for (const session of app.sessions.get()) session.placeAgain();
  });
  const drafts = await restoreDrafts(app.storage);
  const sessions = drafts.map(({ text, saved, file, open }) => ({ session: make(app, text, file, saved), open }));
  if (!sessions.length) sessions.push({ session: await firstExample(app), open: true });
  app.sessions.set(sessions.map(({ session }) => session));
  app.session.set(/** @type {Session} */ ((sessions.find(({ open }) => open) ?? sessions[0])?.session));
  keepDrafts(app);
}

/**
 * A session of this page.
 * @param {App} app
 * @param {string} text
 * @param {FileFacts} file
 * @param {string} [saved] what the file has, if that is something else
 */
export function make(app, text, file, saved) {
  const session = new Session(text, { file, place: (graph) => autoPlace(graph, app.catalogue.get()) });
  if (saved !== undefined) session.saved.set(saved);
  return session;
}

/** @param {App} app */
async function firstExample(app) {
  try {
    const { text } = await textOf('examples/hello');
    return make(app, text, { name: null, etag: null, label: 'hello', example: 'hello' });
  } catch {
    return make(app, NEW_TEXT, { name: null, etag: null, label: '' });
  }
}

/** @param {App} app */
function addActions(app) {
  const exports = /** @type {const} */ (['yaml', 'api', 'ui', 'json', 'png']);
  app.actions.add(
    { id: 'file.new', label: 'file.new', group: 'menu.file', keys: ['Alt+KeyN'], run: () => app.open(make(app, NEW_TEXT, { name: null, etag: null, label: '' })) },
    { id: 'file.open', label: 'file.open', group: 'menu.file', keys: ['Ctrl+KeyO'], anywhere: true, run: () => void openDialog(app) },
    { id: 'file.openName', label: 'file.open', group: '', run: (event) => void openName(app, /** @type {CustomEvent} */ (event).detail.name) },
    { id: 'file.openExample', label: 'file.open', group: '', run: (event) => void openExample(app, /** @type {CustomEvent} */ (event).detail.name) },
    { id: 'file.openText', label: 'file.open', group: '', run: (event) => openText(app, /** @type {CustomEvent} */ (event).detail) },
    { id: 'file.import', label: 'file.import', group: 'menu.file', run: () => pickFiles(app) },
    { id: 'file.importText', label: 'file.import', group: '', run: (event) => void importText(app, /** @type {CustomEvent} */ (event).detail.text) },
    { id: 'file.save', label: 'file.save', group: 'menu.file', keys: ['Ctrl+KeyS'], anywhere: true, run: () => void save(app, app.session.get()) },
    { id: 'file.saveAs', label: 'file.saveAs', group: 'menu.file', keys: ['Ctrl+Shift+KeyS'], anywhere: true, run: () => void saveAs(app, app.session.get()) },
    ...exports.map((to) => ({ id: `file.export.${to}`, label: `file.export.${to}`, group: 'menu.export', run: () => void exportAs(app, to) })),
    { id: 'file.close', label: 'file.close', group: 'menu.file', keys: ['Alt+KeyW'], run: (event) => void close(app, /** @type {CustomEvent} */ (event)?.detail?.session ?? app.session.get()) },
  );
}

/**
 * A text from the server, and its version.
 * @param {string} path
 */
export async function textOf(path) {
  const response = await request('GET', address(path), { headers: { Accept: '*/*' } });
  return { text: await response.text(), etag: response.headers.get('ETag') };
}

/**
 * Open a text in a tab of its own.
 * @param {App} app
 * @param {{text: string, label: string}} what
 */
function openText(app, { text, label }) {
  app.open(make(app, text, { name: null, etag: null, label }));
}

/** @param {App} app @param {string} name */
async function openExample(app, name) {
  try {
    const { text } = await textOf(`examples/${piece(name)}`);
    app.open(make(app, text, { name: null, etag: null, label: name, example: name }));
  } catch (error) {
    app.sayError(error);
  }
}

/**
 * Open a workflow that is saved on the server; the tab that has it, if one does.
 * @param {App} app
 * @param {string} name
 */
export async function openName(app, name) {
  const open = app.sessions.get().find((session) => session.file.get().name === name);
  if (open) {
    app.open(open);
    return;
  }
  try {
    const { text, etag } = await textOf(`workflows/${piece(name)}`);
    app.open(make(app, text, { name, etag, label: name }));
    remember(app, name);
  } catch (error) {
    app.sayError(error);
  }
}

/** @param {App} app @returns {string[]} */
function recentNames(app) {
  const names = readJson(app.storage, RECENT_KEY);
  return Array.isArray(names) ? names.filter((name) => typeof name === 'string') : [];
}

/** @param {App} app @param {string} name */
function remember(app, name) {
  const names = [name, ...recentNames(app).filter((other) => other !== name)].slice(0, MOST_RECENT);
  app.storage?.setItem(RECENT_KEY, JSON.stringify(names));
}

/**
 * Save to the file that it has on the server, unless somebody else has saved that meanwhile.
 * @param {App} app
 * @param {Session} session
 */
async function save(app, session) {
  const { name, etag } = session.file.get();
  if (name === null) return saveAs(app, session);
  session.flush();
  await put(app, session, name, etag === null ? { 'If-None-Match': '*' } : { 'If-Match': etag });
}

/**
 * @param {App} app
 * @param {Session} session
 */
async function saveAs(app, session) {
  session.flush();
  const { name, label } = session.file.get();
  const check = (/** @type {string} */ text) => (/^[^/\\:~.][^\\:~\u0000-\u001f]{0,200}$/.test(text.trim()) && !text.includes('..') ? null : t('file.badName'));
  const wanted = await askText({ title: t('file.saveAs'), label: t('file.name'), value: name ?? `${label || 'workflow'}.yaml`, ok: t('file.save.ok'), check });
  if (wanted === null) return;
  const file = /\.(ya?ml|json)$/.test(wanted.trim()) ? wanted.trim() : `${wanted.trim()}.yaml`;
  await put(app, session, file, { 'If-None-Match': '*' });
}

/**
 * @param {App} app
 * @param {Session} session
 * @param {string} name
 * @param {Record<string, string>} condition
 */
async function put(app, session, name, condition) {
  const text = session.text.get();
  try {
    const response = await request('PUT', address(`workflows/${piece(name)}`), { text, headers: condition });
    session.markSaved({ name, etag: response.headers.get('ETag'), label: name, key: session.file.get().key }, text);
    remember(app, name);
    app.announce(t('file.saved', { name }));
  } catch (error) {
    const { status, diff, etag } = /** @type {any} */ (error);
    if (status !== 412) return app.sayError(error);
    const choice = await showDiff(name, diff ?? null);
    if (choice === 'overwrite') await put(app, session, name, etag ? { 'If-Match': etag } : { 'If-Match': '*' });
    else if (choice === 'open') await openOther(app, name);
  }
}

/** Open what is saved beside what is edited, both under one name. @param {App} app @param {string} name */
async function openOther(app, name) {
  try {
    const { text, etag } = await textOf(`workflows/${piece(name)}`);
    app.open(make(app, text, { name, etag, label: t('file.theirs', { name }) }));
  } catch (error) {
    app.sayError(error);
  }
}

/** @param {App} app @param {Session} session */
async function close(app, session) {
  session.flush();
  const label = session.file.get().label || t('file.untitled');
  if (session.dirty) {
    const sure = await confirm({ title: t('file.close.title', { name: label }), text: t('file.close.text'), ok: t('file.close.ok'), danger: true });
    if (!sure) return;
  }
  const rest = app.sessions.get().filter((other) => other !== session);
  if (!rest.length) rest.push(make(app, NEW_TEXT, { name: null, etag: null, label: '' }));
  const at = Math.max(0, app.sessions.get().indexOf(session) - 1);
  app.sessions.set(rest);
  if (app.session.get() === session) app.session.set(/** @type {Session} */ (rest[Math.min(at, rest.length - 1)]));
}

/** @param {App} app */
async function openDialog(app) {
  /** @type {{name: string, modified: number}[]} */
  let saved = [];
  /** @type {{name: string, description: string}[]} */
  let examples = [];
  try {
    saved = (await api.get('workflows', { limit: 1000 })).workflows;
    examples = (await api.get('examples')).examples;
  } catch (error) {
    app.sayError(error);
  }
  const recent = recentNames(app).filter((name) => saved.some((row) => row.name === name));
  const entry = (/** @type {string} */ value, /** @type {string} */ name, /** @type {string} */ note) => h('button', { type: 'submit', value, class: 'file-entry' }, h('strong', {}, name), ' ', h('span', { class: 'hint' }, note));
  const section = (/** @type {string} */ title, /** @type {HTMLElement[]} */ rows) => (rows.length ? [h('h3', {}, title), h('div', { class: 'file-list' }, ...rows)] : []);
  const choice = await choose({
    title: t('file.open'),
    className: 'wide',
    body: [
      ...section(t('file.recent'), recent.map((name) => entry(`saved:${name}`, name, ''))),
      ...section(t('file.onServer'), saved.map(({ name, modified }) => entry(`saved:${name}`, name, new Date(modified * 1000).toLocaleString()))),
      ...section(t('file.examples'), examples.map(({ name, description }) => entry(`example:${name}`, name, description))),
    ],
    choices: [{ id: 'computer', label: t('file.import'), primary: true }, { id: '', label: t('dialog.cancel') }],
  });
  if (choice === 'computer') pickFiles(app);
  else if (choice?.startsWith('saved:')) await openName(app, choice.slice(6));
  else if (choice?.startsWith('example:')) await openExample(app, choice.slice(8));
}

/** @param {App} app */
function pickFiles(app) {
  const input = h('input', { type: 'file', multiple: true, accept: '.yaml,.yml,.json,.png,.webp' });
  input.addEventListener('change', () => void importFiles(app, input.files ?? []));
  input.click();
}

/** Files that are dropped anywhere but on a field that wants them. @param {App} app */
function listenForDrops(app) {
  const hasFiles = (/** @type {DragEvent} */ event) => event.dataTransfer?.types.includes('Files') === true;
  window.addEventListener('dragover', (event) => {
    if (hasFiles(event) && !event.defaultPrevented) event.preventDefault();
  });
  window.addEventListener('drop', (event) => {
    if (!hasFiles(event) || event.defaultPrevented) return;
    event.preventDefault();
    void importFiles(app, event.dataTransfer?.files ?? []);
  });
}

/**
 * Open files of this computer, each in its own tab: workflows in any format, and pictures with one inside.
 * @param {App} app
 * @param {Iterable<globalThis.File>} files
 */
export async function importFiles(app, files) {
  for (const file of files) {
    try {
      if (file.size > MOST_BYTES) throw { message: t('file.tooLarge', { name: file.name }) };
      const isYaml = /\.ya?ml$/i.test(file.name);
      if (isYaml) openText(app, { text: await file.text(), label: file.name });
      else await convertIn(app, file, file.name);
    } catch (error) {
      app.sayError(error);
    }
  }
}

/** @param {App} app @param {string} text */
async function importText(app, text) {
  if (!/^\s*[{[]/.test(text) && readText(text).graph?.nodes.size === 0) {
    app.say('warning', t('file.notWorkflow'));
    return;
  }
  try {
    await convertIn(app, new Blob([text], { type: 'application/json' }), t('file.pasted'));
  } catch (error) {
    app.sayError(error);
  }
}

/**
 * Have the server read a file of another format.
 * @param {App} app
 * @param {Blob} body
 * @param {string} name
 */
async function convertIn(app, body, name) {
  const type = body.type || 'application/octet-stream';
  const response = await request('POST', address('convert', { to: 'yaml' }), { text: /** @type {any} */ (body), type });
  const { text, problems = [] } = await response.json();
  openText(app, { text, label: name.replace(/\.\w+$/, '') });
  if (problems.length) app.say('warning', t('file.converted', { count: problems.length }), { hint: problems.slice(0, 3).map((/** @type {any} */ p) => p.message).join('\n') });
}

/**
 * Give the file to this computer in another form.
 * @param {App} app
 * @param {'yaml' | 'api' | 'ui' | 'json' | 'png'} to
 */
async function exportAs(app, to) {
  const session = app.session.get();
  session.flush();
  const text = session.text.get();
  const stem = (session.file.get().label || 'workflow').replace(/\.\w+$/, '').replaceAll('/', '-');
  try {
    if (to === 'yaml') return download(new Blob([text], { type: 'application/yaml' }), `${stem}.yaml`);
    if (to === 'png') {
      const { drawPicture } = await import('./view/picture.js');
      return download(await drawPicture(app, session), `${stem}.png`);
    }
    const made = await api.post('convert', { workflow: text, to });
    download(new Blob([made.text], { type: 'application/json' }), `${stem}${to === 'json' ? '' : `.${to}`}.json`);
  } catch (error) {
    app.sayError(error);
  }
}

/** @param {Blob} blob @param {string} name */
function download(blob, name) {
  const link = h('a', { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
