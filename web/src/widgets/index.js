/** Widgets by kind. @module */
/** @import {App} from '../app.js' */
/** @import {Session} from '../model/session.js' */
/** @import {Graph, InputSpec, Raw} from '../model/types.js' */
/** @import {WidgetKind} from '../view/geometry.js' */

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

/** Make the widget of an input. @param {WidgetContext} context @returns {Widget} */
export function makeWidget(context) {
  const element = document.createElement('span');
  return { element, update: (value) => void (element.textContent = `${context.input.name}: ${String(value ?? context.input.default ?? '')}`) };
}
