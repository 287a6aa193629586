import assert from 'node:assert/strict';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { test } from 'node:test';
import { LANGUAGES } from '../src/util/i18n.js';

const SOURCE = new URL('../src/', import.meta.url);

function files(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = new URL(name, folder);
    if (statSync(path).isDirectory()) return name === 'strings' ? [] : files(new URL(`${name}/`, folder));
    return name.endsWith('.js') ? [path] : [];
  });
}

const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();

test('every language has every text, with the same places to fill in', () => {
  const { en, ...others } = LANGUAGES;
  for (const [code, strings] of Object.entries(others)) {
    assert.deepEqual(Object.keys(strings).sort(), Object.keys(en).sort(), code);
    for (const [key, text] of Object.entries(en)) {
      assert.deepEqual(places(strings[key]), places(text), `${code} ${key}`);
      assert.ok(strings[key].trim(), `${code} ${key}`);
    }
  }
});

test('every text that the page asks for by name is there', () => {
  const keys = new Set(Object.keys(LANGUAGES.en));
  for (const path of files(SOURCE)) {
    const source = readFileSync(path, 'utf8');
    const asked = [...source.matchAll(/\bt\(\s*'([^']+)'/g), ...source.matchAll(/\b(?:label|group): '([\w-]+\.[\w.-]+)'/g)].map((match) => match[1]);
    for (const key of asked) assert.ok(keys.has(key), `${path.pathname}: ${key}`);
  }
});

test('no text is left over', () => {
  const all = files(SOURCE).map((path) => readFileSync(path, 'utf8')).join('\n');
  const stems = [...all.matchAll(/`([\w-]+(?:\.[\w-]+)*)\.?\$\{/g)].map((match) => match[1]);
  for (const key of Object.keys(LANGUAGES.en)) {
    assert.ok(all.includes(`'${key}'`) || stems.some((stem) => key.startsWith(stem)), key);
  }
});
