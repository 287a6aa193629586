/**
 * Node types that are dragged onto the canvas from elsewhere in the page.
 *
 * @module
 */

/** @import {Stage} from '../view/stage.js' */

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
 * Add a node where it was dropped, select it and give it the focus.
 * @param {Stage} stage
 * @param {string} type
 * @param {{clientX: number, clientY: number}} at
 */
function dropNode(stage, type, at) {
  const { x, y } = stage.toCanvas(at);
  const detail = { type, x: Math.round(x - 20), y: Math.round(y - 15) };
  if (!stage.app.actions.run('search.add', new CustomEvent('add', { detail }))) return;
  const [id = ''] = stage.session.selection.get();
  stage.scheduler.run();
  stage.views.get(id)?.element.focus({ preventScroll: true });
}
