import assert from 'node:assert/strict';
import { test } from 'node:test';
import { actionFor, shownKeys } from '../src/input/keys.js';

const ACTIONS = [
  { id: 'undo', keys: ['Ctrl+KeyZ'] }, { id: 'redo', keys: ['Ctrl+KeyY', 'Ctrl+Shift+KeyZ'] }, { id: 'fit', keys: ['Period'] },
  { id: 'queue', keys: ['Ctrl+Enter'] }, { id: 'pin', keys: ['KeyP'] },
];
const press = (code, key, modifiers = {}) => actionFor(ACTIONS, { code, key, ctrlKey: false, metaKey: false, shiftKey: false, altKey: false, ...modifiers })?.id ?? null;

test('keys are known by their place, whatever they write', () => {
  assert.equal(press('KeyZ', 'я', { ctrlKey: true }), 'undo');
  assert.equal(press('KeyP', 'ρ'), 'pin');
  assert.equal(press('KeyP', 'p'), 'pin');
});

test('where a layout moves letters, the letter counts', () => {
  assert.equal(press('KeyY', 'z', { ctrlKey: true }), 'undo');
  assert.equal(press('KeyZ', 'y', { ctrlKey: true }), 'redo');
});

test('modifiers have to be those asked for, and no others', () => {
  assert.equal(press('KeyZ', 'Z', { ctrlKey: true, shiftKey: true }), 'redo');
  assert.equal(press('KeyZ', 'z'), null);
  assert.equal(press('KeyP', 'p', { altKey: true }), null);
  assert.equal(press('NumpadEnter', 'Enter', { ctrlKey: true }), 'queue');
});

test('menus show keys as people know them', () => {
  assert.equal(shownKeys('Ctrl+Shift+KeyZ'), 'Ctrl+Shift+Z');
  assert.equal(shownKeys('Period'), '.');
});
