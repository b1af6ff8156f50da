// The callee's side of a call: who calls, under which trace, and how what a handler throws is answered.

import { status } from '@grpc/grpc-js';
import { CALLER_KEY, CallerTokenRefused } from './caller_tokens.js';
import { within } from './context.js';
import { Refusal, unauthenticated } from './refusals.js';

const DEFAULT_TIME = 30_000;

/** Makes handlers for grpc-js out of functions that answer a request. */
export class Admission {
  running = 0;
  served = 0;

  constructor(tokens, statuses, log) {
    Object.assign(this, { tokens, statuses, log });
  }

  /** Lets services of this installation call `work`, and nobody else: ACCESS_INTERNAL. */
  internal(work) {
    return (call, answer) => {
      const [traceparent = ''] = call.metadata.get('traceparent');
      const wanted = Number(call.getDeadline());
      const deadline = Number.isFinite(wanted) ? wanted : Date.now() + DEFAULT_TIME;
      const served = within({ traceparent, deadline }, () => this.#serve(call, work));
      served.then((reply) => answer(null, reply), (error) => answer(error));
    };
  }

  async #serve(call, work) {
    this.running++;
    try {
      const [token = ''] = call.metadata.get(CALLER_KEY);
      // Both methods of this service name every service among their callers.
      const caller = token && this.tokens.verify(token, call.getPath());
      if (!caller) throw unauthenticated();
      return await work(call.request, caller);
    } catch (error) {
      if (error instanceof CallerTokenRefused) {
        this.log.warning('a caller token was refused', { method: call.getPath(), reason: error.message });
        throw this.statuses.of(new Refusal(status.UNAVAILABLE, 'CALLER_TOKEN_REFUSED', error.message), 'souk');
      }
      if (error instanceof Refusal) throw this.statuses.of(error);
      this.log.error('a call failed', { method: call.getPath(), error: error.name, code: error.code });
      throw { code: status.UNKNOWN, details: '' }; // what went wrong in here is nobody else's business
    } finally {
      this.running--;
      this.served++;
    }
  }
}
