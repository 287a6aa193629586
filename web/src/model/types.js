/**
 * The shapes of the model. Everything here is immutable: an edit makes a new Graph that shares what it leaves alone,
 * so that a view finds what has changed by comparing references, and undo is putting the former Graph back.
 *
 * @module
 */

/** @typedef {null | boolean | number | bigint | string} Scalar */

/**
 * A value as it stands in the file. A text is kept with its `$`: `$model.clip` is a link, `${name}` inside a text fills
 * a parameter in, `$$` is a dollar (see values.js). Integers beyond 2^53 are bigint.
 * @typedef {Scalar | readonly Raw[] | ReadonlyMap<string, any>} Raw
 */

/** @typedef {'run' | 'muted' | 'bypassed'} Mode */

/**
 * A node. `uid` stays the same when it is renamed, and is in no file. `extra` has what the canvas does not edit
 * (`foreach`, `matrix`, `when`, `cache`, …), by key.
 * @typedef {{
 *   readonly uid: number,
 *   readonly id: string,
 *   readonly uses: string,
 *   readonly title: string | null,
 *   readonly note: string | null,
 *   readonly mode: Mode,
 *   readonly inputs: ReadonlyMap<string, Raw>,
 *   readonly extra: ReadonlyMap<string, Raw>,
 * }} Node
 */

/**
 * Where a node lies. Without width and height it takes those of its type. `auto`: the place was computed, and is not
 * written to the file until somebody moves something. `unplaced`: the file only says how the node looks.
 * @typedef {{
 *   readonly x: number, readonly y: number,
 *   readonly width?: number, readonly height?: number,
 *   readonly collapsed?: boolean, readonly pinned?: boolean, readonly colour?: string,
 *   readonly auto?: boolean, readonly unplaced?: boolean,
 * }} Place
 */

/** @typedef {{readonly x: number, readonly y: number}} Point */

/** @typedef {'STRING' | 'INT' | 'FLOAT' | 'BOOLEAN' | 'ANY'} ParamType */

/**
 * A parameter. `value` is the default, undefined when it has none and must be given; a text stands as it is read, without
 * the escapes of the file.
 * @typedef {{
 *   readonly name: string, readonly type: ParamType, readonly value: Scalar | undefined,
 *   readonly min?: number, readonly max?: number, readonly choices?: readonly Scalar[], readonly description?: string,
 *   readonly long: boolean,
 * }} Param
 */

/**
 * A frame on the canvas, by its title.
 * @typedef {{readonly title: string, readonly x: number, readonly y: number, readonly width: number, readonly height: number,
 *   readonly colour?: string}} Group
 */

/**
 * A text on the canvas that belongs to no node. `id` is its place among the notes, as `note:0`.
 * @typedef {{readonly id: string, readonly title?: string, readonly text: string, readonly x: number, readonly y: number, readonly width: number,
 *   readonly height: number, readonly colour?: string}} Note
 */

/**
 * A workflow. `points` are those that the link into an input passes, by `node.input`. `extra` has the other keys of the
 * file (`foreach`, `matrix`).
 * @typedef {{
 *   readonly name: string | null, readonly description: string,
 *   readonly params: ReadonlyMap<string, Param>,
 *   readonly nodes: ReadonlyMap<string, Node>,
 *   readonly outputs: ReadonlyMap<string, Raw>,
 *   readonly places: ReadonlyMap<string, Place>,
 *   readonly points: ReadonlyMap<string, readonly Point[]>,
 *   readonly groups: ReadonlyMap<string, Group>,
 *   readonly notes: ReadonlyMap<string, Note>,
 *   readonly extra: ReadonlyMap<string, Raw>,
 * }} Graph
 */

/** @typedef {{readonly name: string, readonly output: string | null}} Ref */

/**
 * A link between nodes. `output` is what the link calls the output, null for the only one.
 * @typedef {{readonly from: string, readonly output: string | null, readonly to: string, readonly input: string}} Link
 */

/**
 * An input of a node type, as the server's catalogue tells it.
 * @typedef {{
 *   name: string, type: string, required: boolean, default?: any, min?: number | bigint, max?: number | bigint, step?: number,
 *   multiple?: number, choices?: (string | number | boolean)[], multiline?: boolean, control?: boolean, widget?: boolean,
 *   collects?: boolean, lazy?: boolean, raw?: boolean, takes_list?: boolean, mentions?: boolean, folder?: string,
 *   upload?: boolean, help?: string, custom?: boolean, options?: Record<string, any>,
 * }} InputSpec
 */

/** @typedef {{name: string, type: string, help?: string, is_list?: boolean}} OutputSpec */

/**
 * A node type.
 * @typedef {{
 *   name: string, display_name: string, category: string, pack: string, version: number, description: string,
 *   output_node: boolean, inputs: InputSpec[], outputs: OutputSpec[], deprecated?: boolean, experimental?: boolean,
 *   missing?: boolean,
 * }} NodeSpec
 */

/**
 * A mistake, as the server's checker tells it.
 * @typedef {{
 *   code: string, severity?: 'error' | 'warning', message: string, file?: string, line?: number, column?: number,
 *   source?: string, node?: string, input?: string, got?: string, expected?: string, hint?: string,
 * }} Problem
 */

/** A change of a text, as CodeMirror takes them. @typedef {{from: number, to: number, insert: string}} TextChange */

export {};
