/**
 * Requests to the server. Whatever goes wrong is an ApiError with words for the reader.
 *
 *     const { jobs, total } = await api.get('jobs', { state: 'queued' });
 *     const job = await api.post('jobs', { workflow: text });
 *
 * @module
 */

/** @import {Problem} from '../model/types.js' */
import { t } from '../util/i18n.js';
import { parseExact, writeExact } from './exact.js';

/** Where the API lies, from the page. */
export const BASE = 'api/v1/';

/**
 * What a request came to that did not succeed. `code` is one of the server's, or `offline` when nobody answered,
 * `aborted` when the page itself gave up, `strange_answer` when something else than the server did.
 */
export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{code: string, status?: number, hint?: string, problems?: Problem[], diff?: unknown, etag?: string}} facts
   */
  constructor(message, { code, status = 0, hint, problems = [], diff, etag }) {
    super(message);
    this.name = 'ApiError';
    this.code = code;
    this.status = status;
    this.hint = hint;
    this.problems = problems;
    this.diff = diff;
    this.etag = etag;
  }
}

/** @typedef {Record<string, string | number | boolean | readonly string[] | undefined | null>} Query */

/**
 * An address of the API. `path` has its names encoded already (`name()`).
 * @param {string} path
 * @param {Query} [query]
 */
export function address(path, query = {}) {
  const pairs = Object.entries(query).flatMap(([key, value]) => {
    if (value === undefined || value === null) return [];
    return (Array.isArray(value) ? value : [value]).map((one) => `${encodeURIComponent(key)}=${encodeURIComponent(String(one))}`);
  });
  return `${BASE}${path}${pairs.length ? `?${pairs.join('&')}` : ''}`;
}

/** A name as a piece of an address. @param {string} text */
export function name(text) {
  return encodeURIComponent(text);
}

/**
 * Ask the server. The answer as it came; an ApiError unless it succeeded (304 counts as success).
 * @param {string} method
 * @param {string} url
 * @param {{body?: unknown, text?: string, type?: string, form?: FormData, headers?: Record<string, string>, signal?: AbortSignal}} [what]
 *   body is sent as JSON, text as what `type` says
 * @returns {Promise<Response>}
 */
export async function request(method, url, { body, text, type = 'application/yaml', form, headers = {}, signal } = {}) {
  /** @type {Record<string, string>} */
  const sent = { Accept: 'application/json', ...headers };
  /** @type {BodyInit | undefined} */
  let data = form;
  if (body !== undefined) [data, sent['Content-Type']] = [writeExact(body), 'application/json'];
  else if (text !== undefined) [data, sent['Content-Type']] = [text, type];
  /** @type {Response} */
  let response;
  try {
    response = await fetch(url, { method, headers: sent, body: data, signal, credentials: 'same-origin' });
  } catch (error) {
    const aborted = error instanceof DOMException && error.name === 'AbortError';
    throw aborted ? new ApiError('', { code: 'aborted' }) : offline();
  }
  if (response.ok || response.status === 304) return response;
  throw await errorOf(response);
}

/** Nobody answers. */
function offline() {
  return new ApiError(t('net.offline'), { code: 'offline', hint: t('net.offline.hint') });
}

/**
 * The error that an answer tells.
 * @param {Response} response
 * @returns {Promise<ApiError>}
 */
export async function errorOf(response) {
  const { status } = response;
  const told = await response.json().then((data) => data?.error, () => null);
  if (!told || typeof told.message !== 'string') {
    return new ApiError(t('net.strange', { status }), { code: 'strange_answer', status, hint: t('net.strange.hint') });
  }
  const hint = status === 401 ? t('net.login.hint') : told.hint ?? undefined;
  const message = status === 401 ? t('net.login') : told.message;
  return new ApiError(message, { code: told.code, status, hint, problems: told.problems ?? [], diff: told.diff, etag: told.etag });
}

/** @param {Response} response */
async function data(response) {
  return response.status === 204 || response.status === 304 ? null : parseExact(await response.text());
}

/** The server's API with its answers as data. */
export const api = {
  /** @param {string} path @param {Query} [query] @param {AbortSignal} [signal] @returns {Promise<any>} */
  get: async (path, query, signal) => data(await request('GET', address(path, query), { signal })),
  /** @param {string} path @param {unknown} [body] @param {{query?: Query, signal?: AbortSignal}} [options] @returns {Promise<any>} */
  post: async (path, body = {}, { query, signal } = {}) => data(await request('POST', address(path, query), { body, signal })),
  /** @param {string} path @param {Query} [query] @returns {Promise<any>} */
  remove: async (path, query) => data(await request('DELETE', address(path, query))),
  /**
   * Keep a picture in the server's input folder; answers what it is called there.
   * @param {Blob} picture
   * @param {string} filename
   * @returns {Promise<{id: string, name: string, file: string, thumbnail: string, width: number, height: number}>}
   */
  async upload(picture, filename) {
    const form = new FormData();
    form.append('picture', picture, filename);
    return data(await request('POST', address('uploads'), { form }));
  },
};

/**
 * Get what has an ETag; null if it is the version that is known already.
 * @param {string} path
 * @param {string | null} etag
 * @returns {Promise<{data: any, etag: string | null} | null>}
 */
export async function getIfChanged(path, etag) {
  const response = await request('GET', address(path), { headers: etag ? { 'If-None-Match': etag } : {} });
  // A browser may answer from what it keeps, with 200 and the same tag.
  if (response.status === 304 || (etag && response.headers.get('ETag') === etag)) return null;
  return { data: await data(response), etag: response.headers.get('ETag') };
}

/**
 * The id of a picture in addresses, from its name below its folder.
 * @param {string} path
 */
export function fileId(path) {
  const bytes = new TextEncoder().encode(path);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}

/** A new id for a job; pages that came over plain HTTP have no crypto.randomUUID. */
export function newId() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
