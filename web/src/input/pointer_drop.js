/**
 * Node types that are dragged onto the canvas from elsewhere in the page.
 *
 * @module
 */

/** @import {Stage} from '../view/stage.js' */
import { HEADER } from '../view/geometry.js';
import { detail } from '../view/node.js';

export const NODE_TYPE = 'application/x-nodegraph-type';

/** @param {Stage} stage */
export function mountDrop(stage) {
  const { element } = stage;
  element.addEventListener('dragover', (event) => {
    if (!event.dataTransfer?.types.includes(NODE_TYPE)) return;
    event.preventDefault();
    event.dataTransfer.dropEffect = 'copy';
  });
  element.addEventListener('drop', (event) => {
    const type = event.dataTransfer?.getData(NODE_TYPE);
    if (!type) return;
    event.preventDefault();
    stage.measure();
    dropNode(stage, type, event);
  });
}

/**
 * Add a node where it was dropped, and give it the focus.
 * @param {Stage} stage
 * @param {string} type
 * @param {{clientX: number, clientY: number}} at
 */
function dropNode(stage, type, at) {
  const { x, y } = stage.toCanvas(at);
  // Held at its header, a little inside.
  const where = { type, x: Math.round(x - 20), y: Math.round(y - HEADER / 2) };
  if (!stage.app.actions.run('search.add', detail(where))) return;
  const [id] = stage.session.selection.get();
  if (id !== undefined) stage.ensure(id)?.element.focus({ preventScroll: true });
}
