/**
 * Pictures that nodes show while they work, as addresses that an element can show. Each takes memory until it is let go
 * of, a moment after another has taken its place, so that no element loses what it is just loading.
 *
 * @module
 */

const LINGER = 2000;

export class Previews {
  constructor() {
    /** @type {Map<string, string>} */
    this.shown = new Map();
  }

  /**
   * Take the next picture of a node; answers its address.
   * @param {string} key
   * @param {string} jpeg in base64
   */
  show(key, jpeg) {
    this.drop(key);
    const bytes = Uint8Array.from(atob(jpeg), (letter) => letter.charCodeAt(0));
    const url = URL.createObjectURL(new Blob([bytes], { type: 'image/jpeg' }));
    this.shown.set(key, url);
    return url;
  }

  /** A node shows nothing any more. @param {string} key */
  drop(key) {
    const url = this.shown.get(key);
    if (url === undefined) return;
    this.shown.delete(key);
    setTimeout(() => URL.revokeObjectURL(url), LINGER);
  }
}
