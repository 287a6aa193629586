/**
 * The rail of panels at the page's edge, and the one that is open. Each has an action `side.NAME`, which shows or hides it.
 *
 * A panel is a module whose `mount(app, body, scope)` fills the body; what it follows ends with the scope, when another
 * panel is shown.
 *
 * @module
 */

/** @import {App} from '../app.js' */
import { shownKeys } from '../input/keys.js';
import { fill, h, icon } from '../util/h.js';
import { t } from '../util/i18n.js';
import { mountBatch } from './batch.js';
import { iconButton } from './buttons.js';
import { widthEdge } from './edge.js';
import { Scope } from './scope.js';
import { addWelcome } from './welcome.js';

/** @typedef {{mount: (app: App, body: HTMLElement, scope: Scope) => void}} Panel */

/** @type {readonly {id: string, keys: string[], load: () => Promise<Panel>}[]} */
const PANELS = [
  { id: 'workflows', keys: ['KeyW'], load: () => import('./workflows.js') },
  { id: 'nodes', keys: ['KeyN'], load: () => import('./palette.js') },
  { id: 'models', keys: ['KeyM'], load: () => import('./models.js') },
  { id: 'gallery', keys: ['KeyA'], load: () => import('./gallery.js') },
  { id: 'queue', keys: ['KeyQ'], load: () => import('./queue.js') },
  { id: 'form', keys: ['KeyF'], load: () => import('./form.js') },
  { id: 'outline', keys: ['KeyO'], load: () => import('./outline.js') },
  { id: 'logs', keys: ['Ctrl+Backquote'], load: () => import('./logs.js') },
  { id: 'settings', keys: ['Ctrl+Comma'], load: () => import('./settings.js') },
];

const LEAST = 220;
const MOST = 720;

/** @param {App} app @param {HTMLElement} element */
export function mountSide(app, element) {
  const rail = /** @type {HTMLElement} */ (document.getElementById('rail'));
  const title = h('h2', { id: 'side-title' });
  const close = iconButton('close', t('panel.close'), () => app.set({ side: null }));
  const body = h('div', { class: 'side-body' });
  element.setAttribute('aria-labelledby', title.id);
  element.append(h('div', { class: 'side-head' }, title, close), body,
    widthEdge(app, element, { side: 'right', setting: 'sideWidth', label: t('panel.width'), least: LEAST, most: () => MOST }));
  rail.setAttribute('aria-label', t('panel.rail'));
  fill(rail, ...PANELS.map((panel) => railButton(app, panel)));
  element.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.defaultPrevented) return;
    const { side } = app.settings.get();
    app.set({ side: null });
    document.getElementById(`rail-${side}`)?.focus();
  });
  addActions(app, body);
  mountBatch(app);
  addWelcome(app);
  show(app, element, title, body);
}

/** @param {App} app @param {HTMLElement} body */
function addActions(app, body) {
  for (const { id, keys } of PANELS) {
    app.actions.add({
      id: `side.${id}`, label: `panel.${id}`, group: 'menu.side', keys, checked: () => app.settings.get().side === id,
      run: () => {
        const open = app.settings.get().side !== id;
        app.set({ side: open ? id : null });
        if (open) body.focus();
      },
    });
  }
}

/** @param {App} app @param {{id: string, keys: string[]}} panel */
function railButton(app, { id, keys }) {
  const label = t(`panel.${id}`);
  const button = h('button', {
    type: 'button', id: `rail-${id}`, class: 'rail-button', title: keys[0] ? `${label} (${shownKeys(keys[0])})` : label, 'aria-label': label,
    'aria-controls': 'side', onclick: () => app.actions.run(`side.${id}`),
  }, icon(id), h('span', { class: 'rail-label', 'aria-hidden': 'true' }, label));
  app.settings.subscribe(({ side }) => button.setAttribute('aria-pressed', String(side === id)), true);
  return button;
}

/**
 * Keep the open panel on the page.
 * @param {App} app
 * @param {HTMLElement} element
 * @param {HTMLElement} title
 * @param {HTMLElement} body
 */
function show(app, element, title, body) {
  /** @type {string | null} */
  let shown = null;
  let scope = new Scope();
  body.tabIndex = -1;
  app.settings.subscribe(({ side, sideWidth }) => {
    element.style.width = `${Math.min(MOST, Math.max(LEAST, sideWidth))}px`;
    if (side === shown) return;
    shown = side;
    scope.end();
    scope = new Scope();
    fill(body);
    const panel = PANELS.find(({ id }) => id === side);
    element.hidden = !panel;
    if (!panel) return;
    title.textContent = t(`panel.${panel.id}`);
    body.className = `side-body side-${panel.id}`;
    void fillPanel(app, panel, body, scope);
  }, true);
}

/**
 * @param {App} app
 * @param {{load: () => Promise<Panel>}} panel
 * @param {HTMLElement} body
 * @param {Scope} scope
 */
async function fillPanel(app, panel, body, scope) {
  try {
    const { mount } = await panel.load();
    if (!scope.isOver) mount(app, body, scope);
  } catch (error) {
    if (!scope.isOver) fill(body, h('p', { class: 'empty' }, t('panel.failed')));
    console.error(error);
  }
}
