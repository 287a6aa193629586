/**
 * The texts in picture files, where workflows lie: text chunks of PNG, Exif of WebP. No pixel is decoded.
 *
 * Sources: the PNG specification, third edition, sections 5 and 11.3.3 (https://www.w3.org/TR/png-3/); RFC 9649 (WebP),
 * sections 2.3 to 2.7; the Exif 2.3 standard, section 4.6.
 *
 * @module
 */

/** What the texts of a picture may take together: more than any workflow has. */
export const MAX_BYTES = 16 * 2 ** 20;
const MAX_TAGS = 1000;

const utf8 = new TextDecoder('utf-8');

/** @typedef {'not_a_picture' | 'damaged' | 'too_large'} Reason */

/** A picture that cannot be read, and why. */
export class PictureError extends Error {
  /** @param {Reason} reason */
  constructor(reason) {
    super(`the picture cannot be read: ${reason.replaceAll('_', ' ')}`);
    this.name = 'PictureError';
    /** @type {Reason} */
    this.reason = reason;
  }
}

/**
 * The texts of a PNG or WebP by keyword; of equal keywords the first counts. Of a WebP these are the texts that ComfyUI
 * and nodegraph write as `name:text`.
 * @param {Blob | ArrayBuffer | Uint8Array<ArrayBuffer>} picture
 * @returns {Promise<Map<string, string>>}
 * @throws {PictureError}
 */
export async function pictureTexts(picture) {
  const bytes = new Uint8Array(picture instanceof Blob ? await picture.arrayBuffer() : picture);
  if (latin1(bytes.subarray(0, 8)) === '\x89PNG\r\n\x1a\n') return pngTexts(bytes);
  if (latin1(bytes.subarray(0, 4)) === 'RIFF' && latin1(bytes.subarray(8, 12)) === 'WEBP') return webpTexts(bytes);
  throw new PictureError('not_a_picture');
}

/**
 * The workflow among the texts of a picture: nodegraph's own, what ran in ComfyUI, or what its editor showed.
 * @param {ReadonlyMap<string, string>} texts
 * @returns {{key: 'nodegraph' | 'prompt' | 'workflow', text: string} | null}
 */
export function workflowIn(texts) {
  for (const key of /** @type {const} */ (['nodegraph', 'prompt', 'workflow'])) {
    const text = texts.get(key);
    if (text !== undefined) return { key, text };
  }
  return null;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
async function pngTexts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Map<string, string>} */
  const texts = new Map();
  let room = MAX_BYTES;
  for (let at = 8; ;) {
    if (at + 12 > bytes.length) throw new PictureError('damaged');
    const length = view.getUint32(at);
    const kind = latin1(bytes.subarray(at + 4, at + 8));
    if (kind === 'IEND') return texts;
    if (at + 12 + length > bytes.length) throw new PictureError('damaged');
    if (kind === 'tEXt' || kind === 'zTXt' || kind === 'iTXt') {
      const [keyword, text] = await chunkText(kind, bytes.subarray(at + 8, at + 8 + length), room);
      room -= text.length;
      if (!texts.has(keyword)) texts.set(keyword, text);
    }
    at += 12 + length;
  }
}

/**
 * Keyword and text of a chunk.
 * @param {'tEXt' | 'zTXt' | 'iTXt'} kind
 * @param {Uint8Array<ArrayBuffer>} data
 * @param {number} room
 * @returns {Promise<[string, string]>}
 */
async function chunkText(kind, data, room) {
  const [keyword, rest] = split(data);
  if (kind === 'tEXt') return [latin1(keyword), latin1(within(rest, room))];
  if (kind === 'zTXt') return [latin1(keyword), latin1(await inflate(rest.subarray(1), room))];
  // a flag and a method, a language and a translated keyword (each ending in a zero), then UTF-8
  const text = split(split(rest.subarray(2))[1])[1];
  return [latin1(keyword), utf8.decode(rest[0] === 1 ? await inflate(text, room) : within(text, room))];
}

/**
 * What is before and after the first zero.
 * @param {Uint8Array<ArrayBuffer>} data
 */
function split(data) {
  const at = data.indexOf(0);
  if (at < 0) throw new PictureError('damaged');
  return [data.subarray(0, at), data.subarray(at + 1)];
}

/**
 * Decompressed data; beyond `room` bytes the rest is not decompressed.
 * @param {Uint8Array<ArrayBuffer>} data
 * @param {number} room
 */
async function inflate(data, room) {
  const parts = [];
  const reader = new Blob([data]).stream().pipeThrough(new DecompressionStream('deflate')).getReader();
  for (let size = 0; ;) {
    const { done, value } = await reader.read().catch(() => {
      throw new PictureError('damaged');
    });
    if (done) break;
    size += value.length;
    if (size > room) {
      await reader.cancel().catch(() => {});
      throw new PictureError('too_large');
    }
    parts.push(value);
  }
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function webpTexts(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  /** @type {Map<string, string>} */
  const texts = new Map();
  for (let at = 12; at + 8 <= bytes.length;) {
    const length = view.getUint32(at + 4, true);
    const end = at + 8 + length;
    if (end > bytes.length) throw new PictureError('damaged');
    if (latin1(bytes.subarray(at, at + 4)) === 'EXIF') {
      for (const value of exifTexts(within(bytes.subarray(at + 8, end), MAX_BYTES))) {
        const [, name, text] = /^(workflow|prompt|nodegraph):([^]*?)\0*$/i.exec(utf8.decode(value)) ?? [];
        if (name !== undefined && !texts.has(name.toLowerCase())) texts.set(name.toLowerCase(), text);
      }
      return texts;
    }
    at = end + (length % 2);
  }
  return texts;
}

/**
 * The texts of the first directory; what is damaged ends the search.
 * @param {Uint8Array<ArrayBuffer>} exif
 */
function* exifTexts(exif) {
  const data = latin1(exif.subarray(0, 6)) === 'Exif\0\0' ? exif.subarray(6) : exif;
  const order = latin1(data.subarray(0, 2));
  if ((order !== 'II' && order !== 'MM') || data.length < 8) return;
  const little = order === 'II';
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const start = view.getUint32(4, little);
  if (start + 2 > data.length) return;
  const count = Math.min(view.getUint16(start, little), MAX_TAGS);
  for (let entry = start + 2; entry < start + 2 + count * 12 && entry + 12 <= data.length; entry += 12) {
    const [length, at] = [view.getUint32(entry + 4, little), view.getUint32(entry + 8, little)];
    // shorter texts lie in the entry itself, and are none of ours
    const isText = view.getUint16(entry + 2, little) === 2 && length > 4;
    if (isText && at + length <= data.length) yield data.subarray(at, at + length);
  }
}

/**
 * @param {Uint8Array<ArrayBuffer>} data
 * @param {number} room
 */
function within(data, room) {
  if (data.length > room) throw new PictureError('too_large');
  return data;
}

/** @param {Uint8Array<ArrayBuffer>} bytes */
function latin1(bytes) {
  // not TextDecoder('latin1'): that is windows-1252, which differs between 0x80 and 0x9f
  let text = '';
  for (let at = 0; at < bytes.length; at += 8192) text += String.fromCharCode(...bytes.subarray(at, at + 8192));
  return text;
}
