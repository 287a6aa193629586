/**
 * JSON whose whole numbers stay exact: those beyond 2^53 are bigint. Seeds go to 2^64 - 1.
 *
 * @module
 */

/** Stands before a number that was put in quotes. Nobody can guess it, so no text begins with it. */
const MARK = `${crypto.getRandomValues(new Uint32Array(4)).join('-')}:`;
const MARKED = new RegExp(`"${MARK}(-?\\d+)"`, 'g');
const LONG = /"(?:[^"\\]|\\.)*"|-?\d{16,}(?![\d.eE])/g;

/**
 * @param {string} text
 * @returns {any}
 */
export function parseExact(text) {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  const marked = text.replace(LONG, (piece, at) => (piece[0] === '"' || isFraction(text, at) ? piece : `"${MARK}${piece}"`));
  return JSON.parse(marked, (_, value) => (typeof value === 'string' && value.startsWith(MARK) ? integer(value.slice(MARK.length)) : value));
}

/** Whether the digits at a place are those behind a point or an exponent. @param {string} text @param {number} at */
function isFraction(text, at) {
  return at > 0 && /[\d.eE+]/.test(/** @type {string} */ (text[at - 1]));
}

/** @param {string} digits */
function integer(digits) {
  return Number.isSafeInteger(Number(digits)) ? Number(digits) : BigInt(digits);
}

/**
 * Data as JSON; a bigint is written as the number that it is, and a Map as an object.
 * @param {unknown} data
 * @param {number} [indent] how far each level stands in; without it all is one line
 * @returns {string}
 */
export function writeExact(data, indent) {
  const text = JSON.stringify(data, (_, value) => {
    if (typeof value === 'bigint') return `${MARK}${value}`;
    return value instanceof Map ? Object.fromEntries(value) : value;
  }, indent);
  return text.replace(MARKED, '$1');
}
