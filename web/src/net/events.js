/**
 * What happens on the server, as it happens. The stream comes back by itself when it breaks, from the number of the last
 * event seen, so that nothing is missed and nothing comes twice.
 *
 * @module
 */

/**
 * An event, as /api/v1/events sends it. Previews have no `seq`.
 * @typedef {{seq?: number, job: string, kind: string, at?: number, data: Record<string, any>}} ServerEvent
 */

export const FIRST_WAIT = 500;
export const LONGEST_WAIT = 15_000;
/** Events whose number does not say that all before them have arrived: they may overtake others on the server. */
const FLEETING = new Set(['progress', 'queue', 'worker']);

/**
 * How long to wait before the next attempt, in milliseconds: longer each time, never in step with other pages.
 * @param {number} attempt 0 for the first
 * @param {number} chance between 0 and 1
 */
export function waitBefore(attempt, chance) {
  return Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** attempt) * (0.75 + chance / 2);
}

export class Events {
  /**
   * @param {{
   *   url: (after: number | null) => string, onEvent: (event: ServerEvent) => void,
   *   onUp: (again: boolean) => void, onDown: () => void, after?: number | null,
   *   open?: (url: string) => WebSocket,
   * }} options onUp: the server listens, `again` after it was away
   */
  constructor({ url, onEvent, onUp, onDown, after = null, open = (address) => new WebSocket(address) }) {
    this.url = url;
    this.onEvent = onEvent;
    this.onUp = onUp;
    this.onDown = onDown;
    this.open = open;
    /** The number of the last event that was seen, and of all before it. @type {number | null} */
    this.after = after;
    /** @type {WebSocket | null} */
    this.socket = null;
    this.attempt = 0;
    this.wasUp = false;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
  }

  /** Connect now, whatever is waited for. */
  connect() {
    if (this.socket) return;
    clearTimeout(this.timer);
    const socket = this.open(this.url(this.after));
    this.socket = socket;
    socket.onopen = () => {
      this.attempt = 0;
      this.onUp(this.wasUp);
      this.wasUp = true;
    };
    socket.onmessage = ({ data }) => {
      if (socket === this.socket) this.#take(JSON.parse(data));
    };
    socket.onclose = () => {
      if (socket !== this.socket) return;
      this.socket = null;
      this.onDown();
      this.#again();
    };
  }

  /** Connect anew, for instance with another address. */
  reconnect() {
    const old = this.socket;
    this.socket = null;
    old?.close();
    this.connect();
  }

  #again() {
    this.timer = setTimeout(() => this.connect(), waitBefore(this.attempt, Math.random()));
    this.attempt += 1;
  }

  /** @param {ServerEvent} event */
  #take(event) {
    const { seq } = event;
    // Numbers rise on one connection. A server that has lost its data begins anew, so a lower one is no old one.
    if (seq !== undefined && !FLEETING.has(event.kind)) {
      if (seq === this.after) return;
      this.after = seq;
    }
    this.onEvent(event);
  }
}
