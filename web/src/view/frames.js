/**
 * Groups and notes on the page: a frame with a title, and a text. They are few, so all of them are there.
 *
 * @module
 */

/** @import {Graph, Group, Note} from '../model/types.js' */
import { h } from '../util/h.js';
import { paintOf } from './colours.js';

/**
 * Elements by key, made, told and taken away as what they show comes, changes and goes.
 * @template {{x: number, y: number, width: number, height: number, colour?: string}} T
 */
class Elements {
  /**
   * @param {HTMLElement} layer
   * @param {() => HTMLElement} make
   * @param {(element: HTMLElement, item: T) => void} show
   */
  constructor(layer, make, show) {
    this.layer = layer;
    this.make = make;
    this.show = show;
    /** @type {Map<string, {element: HTMLElement, item: T | null}>} */
    this.all = new Map();
  }

  /** @param {ReadonlyMap<string, T>} items */
  update(items) {
    for (const [key, { element }] of this.all) {
      if (items.has(key)) continue;
      element.remove();
      this.all.delete(key);
    }
    for (const [key, item] of items) {
      const entry = this.all.get(key) ?? { element: this.make(), item: null };
      if (entry.item === item) continue;
      if (!entry.item) this.layer.append(entry.element);
      this.all.set(key, entry);
      entry.item = item;
      lie(entry.element, item);
      this.show(entry.element, item);
    }
  }
}

export class Frames {
  /**
   * @param {HTMLElement} groupLayer
   * @param {HTMLElement} noteLayer
   */
  constructor(groupLayer, noteLayer) {
    /** @type {Elements<Group>} */
    this.groups = new Elements(groupLayer, makeGroup, (element, { title }) => set(element, '.group-title', title));
    /** @type {Elements<Note>} */
    this.notes = new Elements(noteLayer, makeNote, (element, { text }) => set(element, '.note-text', text));
  }

  /**
   * @param {Graph} graph
   * @param {ReadonlySet<string>} selection
   */
  update(graph, selection) {
    this.groups.update(graph.groups);
    this.notes.update(graph.notes);
    for (const [title, { element }] of this.groups.all) element.classList.toggle('selected', selection.has(`group:${title}`));
    for (const [id, { element }] of this.notes.all) element.classList.toggle('selected', selection.has(id));
  }

  /** The element of a group or note. @param {string} key its item key */
  elementOf(key) {
    return (key.startsWith('group:') ? this.groups.all.get(key.slice(6)) : this.notes.all.get(key))?.element ?? null;
  }
}

function makeGroup() {
  return h('div', { class: 'group' }, h('div', { class: 'group-title' }), h('div', { class: 'node-corner' }));
}

function makeNote() {
  return h('div', { class: 'note', role: 'note' }, h('div', { class: 'note-text' }), h('div', { class: 'node-corner' }));
}

/**
 * @param {HTMLElement} element
 * @param {string} selector
 * @param {string} text
 */
function set(element, selector, text) {
  const part = element.querySelector(selector);
  if (part && part.textContent !== text) part.textContent = text;
}

/**
 * @param {HTMLElement} element
 * @param {{x: number, y: number, width: number, height: number, colour?: string}} box
 */
function lie(element, { x, y, width, height, colour }) {
  element.style.transform = `translate(${x}px, ${y}px)`;
  element.style.width = `${width}px`;
  element.style.height = `${height}px`;
  element.style.setProperty('--own', paintOf(colour));
  element.classList.toggle('coloured', paintOf(colour) !== '');
}
