/**
 * The colours that nodes, groups and notes may be given.
 *
 * @module
 */

/** Those of the menu, by the names that files have; tones that go with both themes. @type {ReadonlyMap<string, string>} */
export const COLOURS = new Map([
  ['red', '#d9534f'], ['orange', '#e08a3c'], ['yellow', '#d8b24a'], ['green', '#4ea866'], ['blue', '#4a84d8'], ['purple', '#9a62d0'], ['grey', '#8a8f98'],
]);

/**
 * A colour as a style can take it: one of the menu's, or any that the browser knows; '' for none.
 * @param {string | undefined} colour
 */
export function paintOf(colour) {
  if (colour === undefined) return '';
  return COLOURS.get(colour) ?? (CSS.supports('color', colour) ? colour : '');
}
