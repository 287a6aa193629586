/**
 * Values that tell when they change.
 *
 * @module
 */

/**
 * @template T
 * @typedef {{
 *   get: () => T,
 *   set: (value: T) => void,
 *   update: (change: (value: T) => T) => void,
 *   subscribe: (listener: (value: T, before: T) => void, now?: boolean) => () => void,
 * }} Signal
 */

/**
 * A value that tells its listeners when another takes its place. Listeners are called at once, in the order in which they
 * came; one that throws is reported and keeps no other from hearing.
 * @template T
 * @param {T} initial
 * @returns {Signal<T>}
 */
export function signal(initial) {
  let current = initial;
  /** @type {Set<(value: T, before: T) => void>} */
  const listeners = new Set();
  /** @param {T} value */
  function set(value) {
    if (Object.is(value, current)) return;
    const before = current;
    current = value;
    for (const listener of [...listeners]) call(listener, value, before);
  }
  return {
    get: () => current,
    set,
    update: (change) => set(change(current)),
    subscribe(listener, now = false) {
      listeners.add(listener);
      if (now) call(listener, current, current);
      return () => void listeners.delete(listener);
    },
  };
}

/**
 * @template T
 * @param {(value: T, before: T) => void} listener
 * @param {T} value
 * @param {T} before
 */
function call(listener, value, before) {
  try {
    listener(value, before);
  } catch (error) {
    if (typeof reportError === 'function') reportError(error);
    else console.error(error);
  }
}
