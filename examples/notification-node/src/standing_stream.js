// A stream that is to stay open: opened again, with back-off, when it breaks or says nothing for too long.

/** Milliseconds without a word after which whoever should speak is held to be away. */
export const SILENCE = 10_000;
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 1_000;
const LEAVING = 1_000;

/** `open()` begins a call; `heard(message, call)` takes each message; `purpose` is what the log calls it. */
export class StandingStream {
  #call;
  #closed = false;
  #failures = 0;
  #timer;

  constructor(purpose, open, heard, log) {
    Object.assign(this, { purpose, open, heard, log, away: '' });
    this.known = new Promise((resolve) => (this.told = resolve));
    this.#begin();
  }

  /** Closes the sending side, and returns when the other end knows, or has not answered for a moment. */
  async close() {
    this.#closed = true;
    const call = this.#call;
    if (!call) return;
    const ended = new Promise((resolve) => call.once('status', resolve));
    if (call.end) call.end();
    else call.cancel();
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, LEAVING).unref())]);
    call.cancel();
  }

  #begin() {
    if (this.#closed) return;
    const call = (this.#call = this.open());
    call.on('data', (message) => this.#hear(message, call));
    call.on('error', () => {}); // told by the status as well
    call.on('status', (status) => this.#end(status));
    this.#watch(call);
  }

  #hear(message, call) {
    if (this.away) this.log.info('the registry is back', { purpose: this.purpose });
    this.away = '';
    this.#failures = 0;
    this.#watch(call);
    this.heard(message, call);
    this.told();
  }

  #watch(call) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => call.cancel(), SILENCE).unref();
  }

  #end({ code, details }) {
    clearTimeout(this.#timer);
    this.#call = undefined;
    if (this.#closed) return;
    const why = details || 'the registry has stopped';
    if (!this.away) {
      this.log.warning('the registry is away; what was known stays in use', { purpose: this.purpose, code, why });
    }
    this.away = why;
    const pause = Math.min(FIRST_PAUSE * 2 ** this.#failures++, LONGEST_PAUSE) * (0.5 + Math.random() / 2);
    setTimeout(() => this.#begin(), pause);
  }
}
