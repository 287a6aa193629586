/** Widgets by kind. @module */
/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph, InputSpec, Raw} from '../model/types.js' */
/** @import {WidgetKind} from '../view/geometry.js' */
/** @import {Control} from './frame.js' */
import { colourControl } from './colour.js';
import { comboControl } from './combo.js';
import { Frame } from './frame.js';
import { imageControl } from './image.js';
import { numberControl } from './number.js';
import { seedControl } from './seed.js';
import { promptControl, textControl } from './text.js';
import { toggleControl } from './toggle.js';
import { valueControl } from './value.js';

export { advanceSeeds } from './seed.js';

/**
 * What a widget edits. `change` writes a value: undefined is the default; edits with the same `merge` are one step.
 * @typedef {{app: App, session: Session, id: string, input: InputSpec, kind: WidgetKind,
 *   change: (value: Raw | undefined, options?: {merge?: string}) => void}} WidgetContext
 */

/**
 * A widget on the page. `update` shows the value of the graph (undefined: the default); it is called only when the value,
 * a parameter or the node's problems may have changed.
 * @typedef {{element: HTMLElement, update: (value: Raw | undefined, graph: Graph) => void, destroy?: () => void}} Widget
 */

/** @type {Record<WidgetKind, (frame: Frame) => Control>} */
const CONTROLS = {
  number: numberControl, seed: seedControl, text: textControl, prompt: promptControl, combo: comboControl,
  toggle: toggleControl, image: imageControl, colour: colourControl, value: valueControl,
};

/** Make the widget of an input. @param {WidgetContext} context @returns {Widget} */
export function makeWidget(context) {
  const frame = new Frame(context);
  frame.attach(CONTROLS[context.kind](frame));
  return frame.widget();
}
