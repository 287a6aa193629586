/**
 * What belongs to something that is shown for a while, and ends with it.
 *
 * @module
 */

/** @import {Signal} from '../util/signal.js' */

export class Scope {
  constructor() {
    /** @type {(() => void)[]} */
    this.ends = [];
    this.isOver = false;
  }

  /**
   * Follow a signal; the listener is called at once, too.
   * @template T
   * @param {Signal<T>} signal
   * @param {(value: T, before: T) => void} listener
   */
  on(signal, listener) {
    this.ends.push(signal.subscribe(listener, true));
  }

  /**
   * Follow what belongs to the value of a signal, for as long as it has that value.
   * @template T
   * @param {Signal<T>} signal
   * @param {(value: T) => (() => void)[]} follow answers what ends it
   */
  within(signal, follow) {
    /** @type {(() => void)[]} */
    let ends = [];
    const stop = () => ends.forEach((end) => end());
    this.on(signal, (value) => {
      stop();
      ends = follow(value);
    });
    this.add(stop);
  }

  /** @param {() => void} end */
  add(end) {
    this.ends.push(end);
  }

  /** End everything. */
  end() {
    this.isOver = true;
    for (const end of this.ends.splice(0)) end();
  }
}

/**
 * A function that has another run once, a moment after it was first called; however often it is called until then.
 * @param {() => void} run
 * @param {number} milliseconds
 * @param {Scope} [scope] with which it ends
 */
export function soon(run, milliseconds, scope) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  scope?.add(() => clearTimeout(timer));
  return () => {
    timer ??= setTimeout(() => {
      timer = undefined;
      run();
    }, milliseconds);
  };
}
