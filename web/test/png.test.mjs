import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateSync } from 'node:zlib';

import { MAX_BYTES, PictureError, pictureTexts, workflowIn } from '../src/util/png.js';

const SIGNATURE = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');

/** A chunk without its checksum's meaning: readers of texts do not need it. */
function chunk(kind, data) {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(data.length);
  return Buffer.concat([length, Buffer.from(kind), data, Buffer.alloc(4)]);
}

const png = (...chunks) =>
  new Uint8Array(
    Buffer.concat([SIGNATURE, chunk('IHDR', Buffer.alloc(13)), ...chunks, chunk('IEND', Buffer.alloc(0))]),
  );
const plain = (keyword, text) => chunk('tEXt', Buffer.from(`${keyword}\0${text}`, 'latin1'));
const packed = (keyword, text) =>
  chunk('zTXt', Buffer.concat([Buffer.from(`${keyword}\0\0`), deflateSync(Buffer.from(text, 'latin1'))]));
const international = (keyword, text, compressed) => {
  const content = compressed ? deflateSync(Buffer.from(text)) : Buffer.from(text);
  return chunk(
    'iTXt',
    Buffer.concat([Buffer.from(`${keyword}\0${compressed ? '\x01' : '\0'}\0en\0\0`, 'latin1'), content]),
  );
};

/** Exif with ASCII entries, as ComfyUI writes them. */
function webp(texts, little = true) {
  const u16 = (value) => {
    const b = Buffer.alloc(2);
    little ? b.writeUInt16LE(value) : b.writeUInt16BE(value);
    return b;
  };
  const u32 = (value) => {
    const b = Buffer.alloc(4);
    little ? b.writeUInt32LE(value) : b.writeUInt32BE(value);
    return b;
  };
  const values = texts.map((text) => Buffer.from(`${text}\0`));
  let at = 8 + 2 + texts.length * 12 + 4;
  const entries = values.map((value, index) => {
    const entry = Buffer.concat([u16(0x0110 - index), u16(2), u32(value.length), u32(at)]);
    at += value.length;
    return entry;
  });
  const tiff = Buffer.concat([
    Buffer.from(little ? 'II' : 'MM'),
    u16(42),
    u32(8),
    u16(texts.length),
    ...entries,
    u32(0),
    ...values,
  ]);
  const part = (kind, data) => {
    const size = Buffer.alloc(4);
    size.writeUInt32LE(data.length);
    return Buffer.concat([Buffer.from(kind), size, data, Buffer.alloc(data.length % 2)]);
  };
  const body = Buffer.concat([
    Buffer.from('WEBP'),
    part('VP8L', Buffer.alloc(7)),
    part('EXIF', Buffer.concat([Buffer.from('Exif\0\0'), tiff])),
  ]);
  const size = Buffer.alloc(4);
  size.writeUInt32LE(body.length);
  return new Uint8Array(Buffer.concat([Buffer.from('RIFF'), size, body]));
}

const reason = (expected) => (error) => error instanceof PictureError && error.reason === expected;

test('all three kinds of text chunks are read', async () => {
  const picture = png(
    plain('prompt', '{"café": 1}'),
    packed('workflow', '{}'),
    international('nodegraph', 'nodes: 星', false),
    international('note', '☆', true),
  );
  assert.deepEqual(
    [...(await pictureTexts(picture))],
    [
      ['prompt', '{"café": 1}'],
      ['workflow', '{}'],
      ['nodegraph', 'nodes: 星'],
      ['note', '☆'],
    ],
  );
  assert.deepEqual(await pictureTexts(new Blob([picture])), await pictureTexts(picture));
});

test('of equal keywords the first counts, and what is called like a part of an object is a keyword like others', async () => {
  const texts = await pictureTexts(png(plain('a', '1'), plain('a', '2'), plain('__proto__', '3')));
  assert.deepEqual(
    [...texts],
    [
      ['a', '1'],
      ['__proto__', '3'],
    ],
  );
});

for (const little of [true, false]) {
  test(`WebP has them in Exif, ${little ? 'little' : 'big'} endian`, async () => {
    const texts = await pictureTexts(webp(['prompt:{"a": "星"}', 'Workflow:{}', 'a camera: yes'], little));
    assert.deepEqual(
      [...texts],
      [
        ['prompt', '{"a": "星"}'],
        ['workflow', '{}'],
      ],
    );
  });
}

test('nodegraph’s own workflow comes before what ran in ComfyUI, and that before what its editor showed', () => {
  const texts = new Map([
    ['workflow', 'w'],
    ['prompt', 'p'],
    ['nodegraph', 'n'],
  ]);
  assert.deepEqual(workflowIn(texts), { key: 'nodegraph', text: 'n' });
  texts.delete('nodegraph');
  assert.deepEqual(workflowIn(texts), { key: 'prompt', text: 'p' });
  assert.equal(workflowIn(new Map([['Software', 'x']])), null);
});

test('what is no picture, ends early or is damaged is said', async () => {
  await assert.rejects(pictureTexts(new Uint8Array(0)), reason('not_a_picture'));
  await assert.rejects(pictureTexts(new TextEncoder().encode('nodegraph: 1\nnodes: {}\n')), reason('not_a_picture'));
  const whole = png(plain('prompt', '{}'));
  for (let length = 8; length < whole.length - 12; length += 1) {
    await assert.rejects(pictureTexts(whole.slice(0, length)), reason('damaged'), `${length} bytes`);
  }
  await assert.rejects(pictureTexts(png(chunk('zTXt', Buffer.from('prompt\0\0nonsense')))), reason('damaged'));
  await assert.rejects(pictureTexts(png(chunk('tEXt', Buffer.from('no zero')))), reason('damaged'));
});

test('a cut WebP never does worse than having no texts', async () => {
  const whole = webp(['prompt:{}']);
  for (let length = 12; length < whole.length; length += 1) {
    await pictureTexts(whole.slice(0, length)).then(
      (texts) => assert.equal(texts.size, 0),
      (error) => assert.ok(reason('damaged')(error)),
    );
  }
});

test('a small chunk that unpacks to more than a workflow can have is refused', async () => {
  await assert.rejects(pictureTexts(png(packed('prompt', ' '.repeat(MAX_BYTES + 1)))), reason('too_large'));
  await assert.rejects(pictureTexts(png(plain('a', ' '.repeat(MAX_BYTES)), plain('b', '  '))), reason('too_large'));
});
