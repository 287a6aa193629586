/**
 * Texts into PNG files, https://www.w3.org/TR/png-3/#11iTXt.
 *
 * @module
 */

/**
 * A PNG with a text more in it, before its end.
 * @param {Blob} png
 * @param {string} key Latin letters
 * @param {string} text
 * @returns {Promise<Blob>}
 */
export async function withText(png, key, text) {
  const bytes = new Uint8Array(await png.arrayBuffer());
  const end = bytes.length - 12; // IEND is the last chunk, and empty
  const encoder = new TextEncoder();
  const data = new Uint8Array([...encoder.encode(key), 0, 0, 0, 0, 0, ...encoder.encode(text)]);
  return new Blob([bytes.slice(0, end), chunk('iTXt', data), bytes.slice(end)], { type: 'image/png' });
}

/**
 * @param {string} type
 * @param {Uint8Array} data
 * @returns {Uint8Array<ArrayBuffer>}
 */
function chunk(type, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** CRC-32 as PNG and ISO 3309 have it. @param {Uint8Array} bytes */
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) {
    value ^= byte;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  }
  return (value ^ 0xffffffff) >>> 0;
}
