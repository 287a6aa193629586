/**
 * Everything that can be done by key, menu or search, by one name.
 *
 * @module
 */

/**
 * `keys` as the key room reads them: `Ctrl+Shift+KeyZ`, by `KeyboardEvent.code`; `Ctrl` is ⌘ on a Mac. `label` and `group`
 * are keys of the strings. An action that is `anywhere` also works while a text is edited.
 * @typedef {{
 *   id: string, label: string, group: string, keys?: string[], anywhere?: boolean,
 *   run: (event?: Event) => unknown, enabled?: () => boolean, checked?: () => boolean,
 * }} Action
 */

export class Actions {
  constructor() {
    /** @type {Map<string, Action>} */
    this.all = new Map();
  }

  /** @param {...Action} actions */
  add(...actions) {
    for (const action of actions) this.all.set(action.id, action);
  }

  /**
   * Do something, if it can be done now; answers whether it was.
   * @param {string} id
   * @param {Event} [event]
   */
  run(id, event) {
    const action = this.all.get(id);
    if (!action || action.enabled?.() === false) return false;
    action.run(event);
    return true;
  }
}
