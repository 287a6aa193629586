/** How the page looks and behaves. @module */
/** @import {App, Settings} from '../app.js' */
/** @import {Scope} from './scope.js' */
import { fill, h } from '../util/h.js';
import { LANGUAGES, t } from '../util/i18n.js';

/** What languages call themselves. @type {Record<string, string>} */
const NAMES = { en: 'English', 'zh-CN': '简体中文' };

/** @param {App} app @param {HTMLElement} body @param {Scope} scope */
export function mount(app, body, scope) {
  const draw = () => {
    const settings = app.settings.get();
    const focused = document.activeElement instanceof HTMLElement ? document.activeElement.dataset.setting : undefined;
    fill(body,
      group('panel.settings.look',
        choice(app, settings, 'theme', ['system', 'light', 'dark']), toggle(app, settings, 'contrast'), language(app), choice(app, settings, 'links', ['curved', 'straight', 'hidden']), toggle(app, settings, 'minimap')),
      group('panel.settings.canvas', choice(app, settings, 'wheel', ['zoom', 'scroll']), choice(app, settings, 'drag', ['pan', 'select']), toggle(app, settings, 'snap')),
      group('panel.settings.run', toggle(app, settings, 'previews'), toggle(app, settings, 'autoQueue'), notify(app, settings)),
      h('p', { class: 'hint' }, h('button', { type: 'button', onclick: () => app.actions.run('app.keys') }, t('app.keys'))));
    if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`[data-setting="${focused}"]`))?.focus();
  };
  scope.on(app.settings, (settings, before) => {
    if (settings === before || DRAWN.some((key) => settings[key] !== before[key])) draw();
  });
}

/** @type {readonly (keyof Settings)[]} */
const DRAWN = ['theme', 'contrast', 'links', 'minimap', 'wheel', 'drag', 'snap', 'previews', 'autoQueue', 'notify', 'language'];

/** @param {string} title @param {...HTMLElement} rows */
function group(title, ...rows) {
  return h('fieldset', { class: 'settings' }, h('legend', {}, t(title)), ...rows);
}

/** @param {App} app @param {Settings} settings @param {'theme' | 'links' | 'wheel' | 'drag'} key @param {string[]} values */
function choice(app, settings, key, values) {
  const select = h('select', { dataset: { setting: key }, onchange: () => app.set({ [key]: select.value }) },
    ...values.map((value) => h('option', { value, selected: settings[key] === value }, t(`panel.settings.${key}.${value}`))));
  return h('label', {}, h('span', {}, t(`panel.settings.${key}`)), select);
}

/** @param {App} app @param {Settings} settings @param {'contrast' | 'minimap' | 'snap' | 'previews' | 'autoQueue'} key */
function toggle(app, settings, key) {
  const box = h('input', { type: 'checkbox', checked: settings[key], dataset: { setting: key }, onchange: () => app.set({ [key]: box.checked }) });
  return h('label', { class: 'check' }, box, h('span', {}, t(`panel.settings.${key}`)));
}

/** Notifications have to be allowed by the browser first. @param {App} app @param {Settings} settings */
function notify(app, settings) {
  const ask = async () => {
    if (!box.checked) return app.set({ notify: false });
    const allowed = typeof Notification !== 'undefined' && (await Notification.requestPermission()) === 'granted';
    app.set({ notify: allowed });
    box.checked = allowed;
    if (!allowed) app.say('warning', t('panel.settings.notify.denied'), { hint: t('panel.settings.notify.denied.hint') });
    return undefined;
  };
  const box = h('input', { type: 'checkbox', checked: settings.notify, dataset: { setting: 'notify' }, onchange: () => void ask() });
  return h('label', { class: 'check' }, box, h('span', {}, t('panel.settings.notify')));
}

/** The page is made anew in the other language; what is open stays, as after any reload. @param {App} app */
function language(app) {
  const select = h('select', {
    dataset: { setting: 'language' }, onchange: () => {
      app.set({ language: select.value });
      window.location.reload();
    },
  }, ...Object.keys(LANGUAGES).map((code) => h('option', { value: code, selected: code === app.language.get(), lang: code }, NAMES[code] ?? code)));
  return h('label', {}, h('span', {}, t('panel.settings.language')), select);
}
