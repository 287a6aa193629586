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
 * A PNG of pixels with transparency, exactly as they are: a canvas would lose the colour of what is transparent.
 * @param {Uint8ClampedArray | Uint8Array} pixels red, green, blue, alpha
 * @param {number} width
 * @param {number} height
 * @returns {Promise<Blob>}
 */
export async function encodePng(pixels, width, height) {
  const row = width * 4;
  const lines = new Uint8Array((row + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const [to, from] = [y * (row + 1), y * row];
    lines[to] = 1; // each pixel as its difference from the one to its left
    for (let x = 0; x < row; x += 1) lines[to + 1 + x] = (pixels[from + x] ?? 0) - (x < 4 ? 0 : pixels[from + x - 4] ?? 0);
  }
  const packed = new Response(new Blob([lines]).stream().pipeThrough(new CompressionStream('deflate')));
  const head = new Uint8Array(13);
  const view = new DataView(head.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  head.set([8, 6, 0, 0, 0], 8);
  const data = new Uint8Array(await packed.arrayBuffer());
  const parts = [Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10), chunk('IHDR', head), chunk('IDAT', data), chunk('IEND', new Uint8Array())];
  return new Blob(parts, { type: 'image/png' });
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

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 as PNG and ISO 3309 have it. @param {Uint8Array} bytes */
function crc(bytes) {
  let value = 0xffffffff;
  for (const byte of bytes) value = (value >>> 8) ^ /** @type {number} */ (TABLE[(value ^ byte) & 0xff]);
  return (value ^ 0xffffffff) >>> 0;
}
