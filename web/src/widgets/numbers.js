/**
 * Numbers as people type them, and how far a step goes. Integers are exact however large.
 *
 * @module
 */

/** @import {InputSpec} from '../model/types.js' */

/** @typedef {number | bigint} Num */

/** @typedef {{value: Num} | {fault: string, limit?: string}} Parsed `fault` is a key of the strings */

const TOP = { unsigned: 2n ** 64n, signed: 2n ** 63n };

/**
 * Whether only whole numbers go in.
 * @param {InputSpec} input
 */
export function isWhole(input) {
  return input.type === 'INT';
}

/**
 * A whole number as the model has it: a bigint only where a number would round.
 * @param {bigint} value
 * @returns {Num}
 */
export function narrow(value) {
  const plain = Number(value);
  return Number.isSafeInteger(plain) ? plain : value;
}

/**
 * A limit. One beyond 2^53 may have been rounded up to a power of two on its way here, and means the number before.
 * @param {Num | undefined} limit
 * @returns {Num | undefined}
 */
export function exactLimit(limit) {
  if (typeof limit !== 'number' || Number.isSafeInteger(limit) || !Number.isInteger(limit)) return limit;
  const whole = BigInt(limit);
  return whole === TOP.unsigned || whole === TOP.signed ? whole - 1n : whole;
}

/**
 * Read a number.
 * @param {string} text
 * @param {InputSpec} input
 * @returns {Parsed}
 */
export function parseNumber(text, input) {
  const clean = text.trim().replace(/[_\s]/g, '').replace(/^([-+]?\d*),(\d+)$/, '$1.$2').replace(/^\+/, '');
  /** @type {Num} */
  let value;
  if (/^-?\d+$/.test(clean)) {
    value = narrow(BigInt(clean));
    if (!isWhole(input)) value = Number(value);
  } else if (/^-?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(clean)) {
    value = Number(clean);
    if (!Number.isFinite(value)) return { fault: 'widget.number.invalid' };
    if (isWhole(input) && !Number.isSafeInteger(value)) return { fault: 'widget.number.whole' };
  } else {
    return { fault: clean === '' ? 'widget.number.empty' : 'widget.number.invalid' };
  }
  return checkRange(value, input);
}

/**
 * @param {Num} value
 * @param {InputSpec} input
 * @returns {Parsed}
 */
function checkRange(value, input) {
  const [min, max] = [exactLimit(input.min), exactLimit(input.max)];
  if (min !== undefined && value < min) return { fault: 'widget.number.least', limit: String(min) };
  if (max !== undefined && value > max) return { fault: 'widget.number.most', limit: String(max) };
  const { multiple } = input;
  if (multiple && multiple > 1 && isWhole(input) && BigInt(value) % BigInt(multiple) !== 0n) {
    return { fault: 'widget.number.multiple', limit: String(multiple) };
  }
  return { value };
}

/**
 * A number as it is shown: whole ones of decimal inputs with `.0`, others without the dust of binary fractions.
 * @param {unknown} value
 * @param {InputSpec} input
 */
export function formatNumber(value, input) {
  if (typeof value === 'bigint') return String(value);
  if (typeof value !== 'number') return value === null || value === undefined ? '' : String(value);
  const text = String(Number.isInteger(value) ? value : Number(value.toPrecision(12)));
  return input.type === 'FLOAT' && /^-?\d+$/.test(text) ? `${text}.0` : text;
}

/**
 * How far one step goes.
 * @param {InputSpec} input
 * @returns {number}
 */
export function stepOf(input) {
  if (isWhole(input)) return Math.max(1, Math.round(input.multiple ?? input.step ?? 1));
  return input.step ?? (input.type === 'FLOAT' ? 0.01 : 1);
}

/**
 * The number some steps further, inside its range. `scale` makes steps larger or smaller.
 * @param {Num} value
 * @param {InputSpec} input
 * @param {number} count
 * @param {number} [scale]
 * @returns {Num}
 */
export function stepBy(value, input, count, scale = 1) {
  const [min, max] = [exactLimit(input.min), exactLimit(input.max)];
  if (isWhole(input)) {
    const least = BigInt(input.multiple ?? 1);
    let step = BigInt(Math.max(1, Math.round(stepOf(input) * scale)));
    step = step < least ? least : step - (step % least);
    return narrow(clampWhole(BigInt(Math.trunc(Number(value)) === value ? value : typeof value === 'bigint' ? value : Math.trunc(value)) + step * BigInt(Math.trunc(count)), min, max));
  }
  const step = stepOf(input) * scale;
  const digits = Math.min(12, Math.max(decimals(step), decimals(Number(value))));
  const next = Number((Number(value) + step * Math.trunc(count)).toFixed(digits));
  return Math.min(Number(max ?? Infinity), Math.max(Number(min ?? -Infinity), next));
}

/**
 * @param {bigint} value
 * @param {Num | undefined} min
 * @param {Num | undefined} max
 */
function clampWhole(value, min, max) {
  if (min !== undefined && value < min) return BigInt(Math.ceil(Number(min)) === min ? min : typeof min === 'bigint' ? min : Math.ceil(min));
  if (max !== undefined && value > max) return BigInt(Math.floor(Number(max)) === max ? max : typeof max === 'bigint' ? max : Math.floor(max));
  return value;
}

/** @param {number} value */
function decimals(value) {
  const [mantissa = '', exponent] = String(value).split('e');
  return Math.max(0, (mantissa.split('.')[1] ?? '').length - Number(exponent ?? 0));
}
