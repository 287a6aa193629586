/**
 * The page's words in the reader's language.
 *
 * @module
 */

import en from '../strings/en.js';
import zh from '../strings/zh-CN.js';

/** @typedef {keyof typeof en} Key */

/** @type {Record<string, Record<string, string>>} */
export const LANGUAGES = { en, 'zh-CN': zh };

let current = en;

/**
 * Choose a language: the one asked for, or the first that the browser prefers and there is.
 * @param {string | null} wanted
 * @param {readonly string[]} [preferred]
 * @returns {string} its code
 */
export function setLanguage(wanted, preferred = navigator.languages) {
  const code = wanted && wanted in LANGUAGES ? wanted : preferred.map(closest).find((found) => found !== null) ?? 'en';
  current = /** @type {typeof en} */ (LANGUAGES[code]);
  return code;
}

/** @param {string} tag */
function closest(tag) {
  if (/^zh\b/i.test(tag)) return 'zh-CN';
  return /^en\b/i.test(tag) ? 'en' : null;
}

/**
 * A text, with `{name}` filled in.
 * @param {string} key a key of the strings
 * @param {Record<string, string | number>} [values]
 */
export function t(key, values = {}) {
  const text = /** @type {Record<string, string>} */ (current)[key] ?? /** @type {Record<string, string>} */ (en)[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (piece, name) => (name in values ? String(values[name]) : piece));
}
