/**
 * Where in a workflow a place of its text is, also while the text is being typed and is no valid YAML.
 *
 * Lines are read by their indentation, `{…}` and `[…]` by their brackets. That is less than YAML, and enough to know what
 * could stand there.
 *
 * @module
 */

/**
 * `path` are the keys down to the value (`['nodes', 'latent', 'with', 'seed']`, `[]` for an item of a list), or to the
 * mapping in which a key stands. `from` to `to` is the word at the place, `typed` what of it is before the place. `text`
 * says that it is inside quotes or a block of text, `comment` that nothing there means anything.
 * @typedef {{
 *   path: string[], at: 'key' | 'value' | 'text' | 'comment', from: number, to: number, typed: string, flow: boolean,
 *   indent: number,
 * }} Where
 */

const WORD = /[\w.$-]/;
const ENTRY =
  /^(\s*(?:- +)*)(?:("(?:[^"\\]|\\.)*"|'(?:[^']|'')*'|[^\s#"'{}[\],&*!|>%@`:-][^#:{}[\],]*?|-[^\s#:{}[\],][^#:{}[\],]*?)\s*:(?=\s|$))?/;
const MOST_LINES = 400;
const LONGEST_KEY = 400;

/**
 * Where `pos` is.
 * @param {string} text
 * @param {number} pos
 * @returns {Where}
 */
export function whereAt(text, pos) {
  const start = text.lastIndexOf('\n', pos - 1) + 1;
  const opened = openedAbove(text, start, pos);
  const from = opened ?? start;
  const entry = entryOf(lineAt(text, from));
  const blank = lineAt(text, start).trim() === '';
  const indent = blank && opened === null ? pos - start : entry.indent;
  const { path, inText } = pathTo(text, from, indent);
  if (inText) return { ...word(text, pos), path, at: 'text', flow: false, indent };
  const here = [...path, ...entry.items.map(() => '[]')];
  if (entry.key === null || pos < from + entry.valueFrom) {
    const isItem = entry.key === null && entry.items.length > 0 && pos >= from + entry.itemFrom;
    const quoted = /^\s*#/.test(text.slice(start, pos));
    return { ...word(text, pos), path: here, at: quoted ? 'comment' : isItem ? 'value' : 'key', flow: false, indent };
  }
  return inValue(text, from + entry.valueFrom, pos, [...here, entry.key], indent);
}

/**
 * The type that a node uses, by what stands in its lines now.
 * @param {string} text
 * @param {number} pos a place inside the node
 * @returns {string | null}
 */
export function usesAt(text, pos) {
  let at = text.lastIndexOf('\n', pos - 1) + 1;
  // up to the line of the node's name, which is the one below `nodes:`
  for (let count = 0; count < MOST_LINES; count += 1) {
    const line = lineAt(text, at);
    const entry = entryOf(line);
    if (entry.key !== null && isNodeName(text, at, entry.indent)) {
      const block = text.slice(at, at + blockLength(text, at, entry.indent));
      return /(?:^|[\s{,])uses\s*:\s*["']?([^\s"'#,}]+)/.exec(block.slice(entry.valueFrom))?.[1] ?? null;
    }
    if (at === 0) return null;
    at = text.lastIndexOf('\n', at - 2) + 1;
  }
  return null;
}

/**
 * How far a new line after `line` is indented: as far, and further below a key without a value.
 * @param {string} line
 * @param {number} unit
 */
export function indentAfter(line, unit) {
  const { items, key, valueFrom, indent } = entryOf(line);
  const value = line
    .slice(valueFrom)
    .replace(/(^|\s)#.*$/, '')
    .trim();
  const opens = key !== null && (value === '' || /^[|>][-+0-9]*$/.test(value));
  const column = items.length && key !== null ? indent : indentOf(line);
  return column + (opens ? unit : 0);
}

/**
 * @param {string} text
 * @param {number} from
 * @param {number} indent
 */
function isNodeName(text, from, indent) {
  const { path, inText } = pathTo(text, from, indent);
  return !inText && path.length === 1 && path[0] === 'nodes';
}

/**
 * How far the block of a line reaches: to the next line that is indented no more.
 * @param {string} text
 * @param {number} from
 * @param {number} indent
 */
function blockLength(text, from, indent) {
  let at = text.indexOf('\n', from) + 1;
  while (at > 0 && at < text.length) {
    const line = lineAt(text, at);
    if (line.trim() !== '' && !line.trimStart().startsWith('#') && indentOf(line) <= indent) return at - from;
    at = text.indexOf('\n', at) + 1;
  }
  return text.length - from;
}

/**
 * The keys above a line, by indentation, and whether the line is in a block of text.
 * @param {string} text
 * @param {number} from where the line begins
 * @param {number} indent
 */
function pathTo(text, from, indent) {
  /** @type {string[]} */
  const path = [];
  let inText = false;
  // a list may be indented no more than its key, so below a dash its own column counts too
  let inList = entryOf(lineAt(text, from)).items.length > 0;
  let least = inList ? indentOf(lineAt(text, from)) + 1 : indent;
  for (let at = from; at > 0 && least > 0;) {
    at = text.lastIndexOf('\n', at - 2) + 1;
    const line = lineAt(text, at);
    const lead = indentOf(line);
    if (line.trim() === '' || lead >= least || line.trimStart().startsWith('#')) continue;
    const { items, key, indent: column, valueFrom } = entryOf(line);
    if ((inList && items.length && lead === least - 1) || (!items.length && key === null)) continue;
    const above = key !== null && column < least;
    if (above && /^[|>][-+0-9]*\s*(?:#.*)?$/.test(line.slice(valueFrom).trim())) {
      inText = true;
      path.length = 0;
    }
    path.unshift(...items.map(() => '[]'), ...(above ? [key] : []));
    inList = items.length > 0;
    least = inList ? lead + 1 : lead;
  }
  return { path, inText };
}

/**
 * The start of the topmost line above whose `{` or `[` is still open at `pos`.
 * @param {string} text
 * @param {number} start of the line of `pos`
 * @param {number} pos
 * @returns {number | null}
 */
function openedAbove(text, start, pos) {
  /** @type {number | null} */
  let found = null;
  let at = start;
  for (let count = 0; at > 0 && count < MOST_LINES; count += 1) {
    at = text.lastIndexOf('\n', at - 2) + 1;
    const line = lineAt(text, at);
    if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
    const entry = entryOf(line);
    if (/^[[{]/.test(line.slice(entry.valueFrom)) && scanFlow(text, at + entry.valueFrom, pos).stack.length > 0)
      found = at;
    if (indentOf(line) === 0) break;
  }
  return found;
}

/**
 * The parts of a line: how far it is indented (an item's dashes count), its items' dashes, its key, where its value begins.
 * @param {string} line
 */
function entryOf(line) {
  const match = ENTRY.exec(line.slice(0, LONGEST_KEY)); // bounded, because the pattern tries every length
  const lead = match?.[1] ?? '';
  const dashes = [...lead.matchAll(/-/g)];
  const key = match?.[2] ?? null;
  const after = match ? match[0].length : 0;
  const valueFrom = key === null ? lead.length : after + ((line.slice(after).match(/^:?\s*/) ?? [''])[0]?.length ?? 0);
  return {
    indent: key === null && dashes.length ? indentOf(line) : lead.length,
    items: dashes,
    itemFrom: lead.length,
    key: key === null ? null : unquoted(key),
    valueFrom,
  };
}

/** @param {string} key */
function unquoted(key) {
  return /^["']/.test(key) ? key.slice(1, -1) : key;
}

/**
 * Where `pos` is within a value that begins at `from`.
 * @param {string} text
 * @param {number} from
 * @param {number} pos
 * @param {string[]} path
 * @param {number} indent
 * @returns {Where}
 */
function inValue(text, from, pos, path, indent) {
  const { stack, quoted, comment } = scanFlow(text, from, pos);
  const flow = stack.length > 0;
  const inner = stack.flatMap((level) => (level.list ? ['[]'] : level.key !== null ? [level.key] : []));
  const last = stack.at(-1);
  const isKey = last !== undefined && !last.list && last.key === null;
  const at = comment ? 'comment' : quoted ? 'text' : isKey ? 'key' : 'value';
  return { ...word(text, pos), path: [...path, ...inner], at, flow, indent };
}

/**
 * What is open at `pos`: brackets with the key whose value is being given, quotes, a comment.
 * @param {string} text
 * @param {number} from
 * @param {number} pos
 */
function scanFlow(text, from, pos) {
  /** @type {{list: boolean, key: string | null, from: number}[]} */
  const stack = [];
  let quoted = false;
  for (let at = from; at < pos; at += 1) {
    const mark = text[at] ?? '';
    const before = text[at - 1] ?? ' ';
    const last = stack.at(-1);
    if (mark === '#' && /\s/.test(before)) {
      const end = text.indexOf('\n', at);
      if (end < 0 || end >= pos) return { stack, quoted, comment: true };
      at = end;
    } else if ((mark === '"' || mark === "'") && /[\s:,[{]/.test(before)) {
      const end = closing(text, at, mark);
      if (end >= pos) return { stack, quoted: true, comment: false };
      at = end;
    } else if ((mark === '{' || mark === '[') && (last !== undefined || at === from)) {
      stack.push({ list: mark === '[', key: null, from: at + 1 });
    } else if (last !== undefined) {
      if (mark === '}' || mark === ']') stack.pop();
      else if (mark === ',') Object.assign(last, { key: null, from: at + 1 });
      else if (mark === ':' && !last.list && last.key === null && /[\s,}]|^$/.test(text[at + 1] ?? '')) {
        last.key = unquoted(text.slice(last.from, at).trim());
      }
    }
  }
  return { stack, quoted, comment: false };
}

/**
 * Where a quoted text ends, beyond the text if it does not.
 * @param {string} text
 * @param {number} from
 * @param {string} mark
 */
function closing(text, from, mark) {
  for (let at = from + 1; at < text.length; at += 1) {
    if (mark === '"' ? text[at] === '\\' : text[at] === "'" && text[at + 1] === "'") at += 1;
    else if (text[at] === mark) return at;
  }
  return text.length;
}

/**
 * The word around a place.
 * @param {string} text
 * @param {number} pos
 */
function word(text, pos) {
  let [from, to] = [pos, pos];
  while (from > 0 && WORD.test(text[from - 1] ?? '')) from -= 1;
  while (to < text.length && WORD.test(text[to] ?? '')) to += 1;
  return { from, to, typed: text.slice(from, pos) };
}

/**
 * @param {string} text
 * @param {number} from
 */
function lineAt(text, from) {
  const end = text.indexOf('\n', from);
  return text.slice(from, end < 0 ? text.length : end);
}

/** @param {string} line */
function indentOf(line) {
  return line.length - line.trimStart().length;
}
