/** What a node type is, in words. @module */

/** @import {Catalogue} from '../../model/catalogue.js' */
/** @import {NodeSpec} from '../../model/types.js' */
import { colourOf } from '../../model/catalogue.js';
import { h } from '../../util/h.js';
import { t } from '../../util/i18n.js';
import { shown } from './rank.js';

/**
 * @param {Catalogue} catalogue
 * @param {NodeSpec} spec
 */
export function typeHelp(catalogue, spec) {
  const marks = [spec.deprecated ? t('palette.deprecated') : '', spec.experimental ? t('palette.experimental') : ''].filter(Boolean);
  return h('div', { class: 'type-help' },
    h('h3', {}, shown(spec)),
    h('p', { class: 'type-origin' }, [spec.category, spec.pack, ...marks].filter(Boolean).join(' · ')),
    ...spec.description.split(/\n\s*\n/).filter(Boolean).map((text) => h('p', {}, text)),
    ...sockets(catalogue, t('palette.inputs'), spec.inputs), ...sockets(catalogue, t('palette.outputs'), spec.outputs));
}

/** A dot in the colour of a type. @param {Catalogue} catalogue @param {string} type */
export function typeDot(catalogue, type) {
  const dot = h('span', { class: 'type-dot' });
  dot.style.background = colourOf(catalogue, type);
  return dot;
}

/**
 * @param {Catalogue} catalogue
 * @param {string} title
 * @param {readonly {name: string, type: string, help?: string}[]} all
 */
function sockets(catalogue, title, all) {
  if (all.length === 0) return [];
  const items = all.map(({ name, type, help }) => h('li', {}, typeDot(catalogue, type), h('b', {}, name), ` ${type}`, help ? ` – ${help}` : ''));
  return [h('h4', {}, title), h('ul', {}, ...items)];
}
