import assert from 'node:assert/strict';
import { test } from 'node:test';
import { atTheirPlaces, readPlan } from '../src/net/check.js';
import { Events, LONGEST_WAIT, waitBefore } from '../src/net/events.js';
import { parseExact, writeExact } from '../src/net/exact.js';
import { Tracker } from '../src/net/tracker.js';

const NO_PREVIEWS = { show: (_, jpeg) => `blob:${jpeg}`, drop: () => {} };

test('whole numbers beyond 2^53 stay exact both ways', () => {
  const text = '{"max":18446744073709551615,"list":[1,-9223372036854775808,1234567890123456],"text":"18446744073709551615 \\"9999999999999999999\\"","x":1.2345678901234567890,"y":1e22}';
  const data = parseExact(text);
  assert.equal(data.max, 18446744073709551615n);
  assert.deepEqual(data.list, [1, -9223372036854775808n, 1234567890123456]);
  assert.equal(data.text, '18446744073709551615 "9999999999999999999"');
  assert.equal(data.x, 1.2345678901234567);
  assert.equal(data.y, 1e22);
  assert.equal(writeExact({ max: data.max, text: data.text, map: new Map([['a', 2n ** 60n]]) }),
    '{"max":18446744073709551615,"text":"18446744073709551615 \\"9999999999999999999\\"","map":{"a":1152921504606846976}}');
});

test('any text stays what it is', () => {
  for (const text of ['12345678901234567890', '"', '\\', '"12345678901234567"', '']) {
    assert.equal(parseExact(writeExact([text, 2n ** 63n]))[0], text);
  }
});

test('waiting grows, and has an end', () => {
  const waits = Array.from({ length: 12 }, (_, attempt) => waitBefore(attempt, 0.5));
  assert.deepEqual(waits, waits.toSorted((a, b) => a - b));
  assert.equal(waits.at(-1), LONGEST_WAIT);
});

test('a stream that broke goes on after the last event seen', async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  const sockets = [];
  const seen = [];
  const states = [];
  const events = new Events({
    url: (after) => `ws://x/?after=${after}`,
    onEvent: ({ seq }) => seen.push(seq),
    onUp: (again) => states.push(again ? 'again' : 'up'),
    onDown: () => states.push('down'),
    open: (url) => sockets[sockets.push({ url, close() { this.onclose?.(); } }) - 1],
  });
  const tell = (socket, seq, kind = 'finished') => socket.onmessage({ data: JSON.stringify({ seq, kind, job: 'a', data: {} }) });
  events.connect();
  sockets[0].onopen();
  tell(sockets[0], 7);
  tell(sockets[0], 9, 'queue');
  tell(sockets[0], 8);
  sockets[0].onclose();
  tell(sockets[0], 10);
  context.mock.timers.tick(LONGEST_WAIT);
  assert.equal(sockets.length, 2);
  assert.equal(sockets[1].url, 'ws://x/?after=8');
  sockets[1].onopen();
  tell(sockets[1], 10);
  assert.deepEqual(seen, [7, 9, 8, 10]);
  assert.deepEqual(states, ['up', 'down', 'again']);
});

/** @param {Tracker} tracker @param {...[string, object]} events */
function tell(tracker, ...events) {
  for (const [kind, data] of events) tracker.take({ job: tracker.job, kind, data, at: 5 });
  return tracker.snapshot();
}

test('the events of a job say what its nodes have come to', () => {
  const tracker = new Tracker('j', NO_PREVIEWS, ['latent', 'save', 'off']);
  assert.equal(tracker.snapshot().nodes.get('save').state, 'waiting');
  let run = tell(tracker, ['job_started', {}], ['planned', { nodes: 3, cached: 1 }], ['cached', { node: 'model' }], ['started', { node: 'latent' }],
    ['progress', { node: 'latent', value: 1, total: 4 }], ['preview', { node: 'latent', display: 'latent', jpeg: 'x' }]);
  assert.deepEqual([run.state, run.done, run.total, run.started], ['running', 1, 3, 5000]);
  assert.deepEqual(run.nodes.get('latent'), { state: 'running', value: 1, total: 4, preview: 'blob:x' });
  run = tell(tracker, ['finished', { node: 'latent', seconds: 2 }], ['preview', { node: 'latent', jpeg: 'late' }],
    ['finished', { node: 'save', seconds: 1, files: [{ filename: 'a b.png', subfolder: 'x', type: 'output', digest: '0123456789abcdef', width: 8, height: 9, id: 'eA', file: '/api/v1/outputs/eA/file', thumbnail: '/api/v1/outputs/eA/thumbnail' }] }], ['job_finished', { state: 'done' }]);
  assert.deepEqual(run.nodes.get('latent'), { state: 'done', seconds: 2 });
  const [picture] = run.nodes.get('save').pictures;
  assert.equal(picture.name, 'x/a b.png');
  assert.deepEqual([picture.file, picture.thumbnail], ['api/v1/outputs/eA/file?v=0123456789ab', 'api/v1/outputs/eA/thumbnail?v=0123456789ab']);
  assert.equal(run.state, 'done');
  assert.equal(run.nodes.has('off'), false, 'what never came does not wait for ever');
});

test('a job that is tried again begins anew', () => {
  const tracker = new Tracker('j', NO_PREVIEWS);
  tell(tracker, ['job_started', {}], ['finished', { node: 'a' }], ['failed', { node: 'b', problem: { code: 'x', message: 'no' } }]);
  const run = tell(tracker, ['job_requeued', {}]);
  assert.deepEqual([run.state, run.done, run.problems.length, run.nodes.size], ['queued', 0, 0, 0]);
});

test('the cells of a sweep are one node', () => {
  const tracker = new Tracker('j', NO_PREVIEWS);
  const file = (filename) => ({ files: [{ filename, subfolder: '', type: 'output', id: 'x', file: '/x/file', thumbnail: '/x/thumbnail' }] });
  let run = tell(tracker, ['job_started', {}], ['finished', { node: 'latent[1,1]', seconds: 1, ...file('a.png') }], ['started', { node: 'latent[1,2]' }],
    ['progress', { node: 'latent[1,2]', value: 1, total: 2 }]);
  assert.deepEqual(run.nodes.get('latent').state, 'running');
  assert.deepEqual([run.nodes.get('latent').value, run.nodes.get('latent').total], [1.5, 2]);
  run = tell(tracker, ['finished', { node: 'latent[1,2]', seconds: 2, ...file('b.png') }]);
  assert.deepEqual([run.nodes.get('latent').state, run.nodes.get('latent').seconds, run.nodes.get('latent').pictures.length], ['done', 3, 2]);
});

test('of several nodes in the plan one that runs decides', () => {
  const plan = readPlan([
    { node: 'latent[1]', type: 'K', action: 'hit' }, { node: 'latent[2]', type: 'K', action: 'run', reason: 'never_run' },
    { node: 'latent[3]', type: 'K', action: 'hit' }, { node: 'save', type: 'S', action: 'hit' },
  ]);
  assert.deepEqual([plan.get('latent').runs, plan.get('save').runs, plan.get('save').reason], [true, false, 'hit']);
});

test('a plan tells large seeds as they are', () => {
  const [node] = parseExact('[{"node":"k","type":"K","action":"run","reason":"input_changed","field":"seed","old":7,"new":18446744073709551615}]');
  assert.equal(readPlan([node]).get('k').text, 'It will run: seed was 7 and is now 18446744073709551615.');
});

test('problems stand at nodes of the shown file', () => {
  const [cell, inner, whole] = atTheirPlaces([
    { code: 'a', message: 'm', node: 'latent[1,2]', input: 'cfg', line: 3 },
    { code: 'b', message: 'too small', node: 'inner/canvas', input: 'width', file: 'part.yaml', line: 4, column: 5, hint: 'h' },
    { code: 'c', message: 'm', line: 1 },
  ]);
  assert.deepEqual([cell.node, cell.line, cell.input], ['latent', 3, 'cfg']);
  assert.deepEqual(inner, { code: 'b', severity: undefined, hint: 'h', node: 'inner', message: 'part.yaml, line 4: too small' });
  assert.equal(whole.line, 1);
});
