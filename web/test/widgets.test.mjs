import assert from 'node:assert/strict';
import { test } from 'node:test';
import { firstInputs, stemOf } from '../src/model/naming.js';
import { unescape } from '../src/model/values.js';
import { rank } from '../src/panels/palette/rank.js';
import { formatNumber, parseNumber, stepBy } from '../src/widgets/numbers.js';
import { changeWeight, completionAt, fromText, toText } from '../src/widgets/texts.js';
import { readValue, writeValue } from '../src/widgets/value.js';

const INT = { name: 'n', type: 'INT', required: false };
const FLOAT = { name: 'x', type: 'FLOAT', required: false };

test('numbers are read as people write them', () => {
  assert.deepEqual(parseNumber(' 1_000 ', INT), { value: 1000 });
  assert.deepEqual(parseNumber('1e3', FLOAT), { value: 1000 });
  assert.deepEqual(parseNumber('0,5', FLOAT), { value: 0.5 });
  assert.deepEqual(parseNumber('.5', FLOAT), { value: 0.5 });
  assert.deepEqual(parseNumber('-0', INT), { value: 0 });
  assert.deepEqual(parseNumber('2e0', INT), { value: 2 });
  assert.ok('fault' in parseNumber('1e400', FLOAT));
  assert.ok('fault' in parseNumber('0x10', INT));
  assert.ok('fault' in parseNumber('7', { ...INT, multiple: 8 }));
});

test('integers of 64 bits stay exact', () => {
  // JSON has rounded the limit up on its way.
  const seed = { ...INT, min: 0, max: 18446744073709551615 };
  assert.deepEqual(parseNumber('18446744073709551615', seed), { value: 18446744073709551615n });
  assert.ok('fault' in parseNumber('18446744073709551616', seed));
  assert.equal(stepBy(18446744073709551614n, seed, 5), 18446744073709551615n);
  assert.equal(stepBy(9007199254740991, seed, 2), 9007199254740993n);
  assert.equal(stepBy(9007199254740993n, seed, -2), 9007199254740991);
});

test('steps leave no dust of binary fractions', () => {
  let value = 0;
  for (let i = 0; i < 10; i += 1) value = stepBy(value, { ...FLOAT, step: 0.1 }, 1);
  assert.equal(value, 1);
  assert.equal(stepBy(0.07, { ...FLOAT, step: 0.01 }, -7), 0);
  assert.equal(stepBy(512, { ...INT, multiple: 8 }, 1, 0.1), 520);
  assert.equal(stepBy(0.5, { ...FLOAT, step: 0.1, max: 1 }, 100), 1);
  assert.equal(formatNumber(8, FLOAT), '8.0');
  assert.equal(formatNumber(0.1 + 0.2, FLOAT), '0.3');
  assert.equal(formatNumber(1e-7, FLOAT), '1e-7');
});

test('texts are shown as they are meant, and come back as they were', () => {
  for (const raw of ['plain', 'costs $$5', '$${name}', 'a ${name} b', '$$${name}', '$$$${name}', '$$$$', '$$a ${b} $$', '']) {
    assert.equal(fromText(toText(raw)), raw, raw);
  }
  assert.equal(toText('costs $$5'), 'costs $5');
  assert.equal(fromText('costs $5 and ${x}'), 'costs $$5 and ${x}');
  assert.equal(unescape(fromText('$seed')), '$seed');
});

test('weights go up and down and away', () => {
  const all = (text, from, to, ...steps) => steps.reduce((now, by) => changeWeight(now.text, now.from, now.to, by), { text, from, to }).text;
  assert.equal(all('a cat', 2, 5, 0.05), 'a (cat:1.05)');
  assert.equal(all('a cat', 2, 5, 0.05, 0.05, -0.05, -0.05), 'a cat');
  assert.equal(all('(a cat:1.3)', 0, 11, -0.1), '(a cat:1.2)');
  assert.equal(all('a cat', 3, 3, -0.1, -0.1), 'a (cat:0.8)');
  assert.equal(changeWeight('a  b', 2, 2, 0.1), null);
  assert.equal(changeWeight('', 0, 0, 0.1), null);
});

test('names are completed where they are typed', () => {
  assert.deepEqual(completionAt('a ${su', 6), { kind: 'param', from: 4, typed: 'su' });
  assert.equal(completionAt('a $${su', 7), null);
  assert.deepEqual(completionAt('x, (embedding:ea', 16), { kind: 'embedding', from: 14, typed: 'ea' });
  assert.equal(completionAt('embedding: x', 12), null);
});

test('any value goes through its field and back', () => {
  for (const value of [1, 1.5, true, 'text', '12', 'true', 'null', '$$5', [1, 'a', [2n ** 64n - 1n]], new Map([['a', 1]]), '', '"quoted"', '[1']) {
    const text = writeValue(value);
    if (value === '') continue;
    assert.deepEqual(readValue(text), value, text);
  }
  assert.equal(readValue('18446744073709551615'), 18446744073709551615n);
  assert.equal(readValue('{"a"'), undefined);
});

test('nodes get readable names and only what has to be given', () => {
  assert.equal(stemOf('CLIPTextEncode'), 'clip_text_encode');
  assert.equal(stemOf('KSampler'), 'ksampler');
  assert.equal(stemOf('CLIPTextEncode', 'negative'), 'negative');
  assert.equal(stemOf('VAEDecode', 'images'), 'vae_decode');
  assert.equal(stemOf('Seed (rgthree)'), 'seed_rgthree');
  assert.equal(stemOf('4xUpscale'), 'n4x_upscale');
  assert.equal(stemOf('提示词'), 'node');
  const inputs = [
    { name: 'model', type: 'MODEL', required: true }, { name: 'text', type: 'STRING', required: true, widget: true },
    { name: 'file', type: 'COMBO', required: true, choices: ['a$b'], widget: true }, { name: 'none', type: 'COMBO', required: true, choices: [], widget: true },
    { name: 'steps', type: 'INT', required: true, default: 20, widget: true },
  ];
  assert.deepEqual([...firstInputs({ inputs })], [['text', ''], ['file', 'a$$b']]);
});

test('what begins with the letters comes before what has them inside', () => {
  const spec = (name, more = {}) => ({ name, display_name: name, category: '', description: '', pack: '', inputs: [], outputs: [], ...more });
  const all = [spec('SaveImage'), spec('ImageScale'), spec('LoadImage'), spec('Image'), spec('OldImage', { deprecated: true })];
  assert.deepEqual(rank(all, 'image').map(({ name }) => name), ['Image', 'ImageScale', 'LoadImage', 'SaveImage', 'OldImage']);
  assert.deepEqual(rank(all, 'li').map(({ name }) => name)[0], 'LoadImage');
  assert.equal(rank(all, '', ['SaveImage'])[0].name, 'SaveImage');
  assert.deepEqual(rank(all, 'zzz'), []);
});
