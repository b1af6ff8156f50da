// The callee's side of a call: who calls, under which trace, and how what a handler throws is answered.

import { Metadata, status } from '@grpc/grpc-js';
import { CALLER_KEY, CallerTokenRefused } from './caller_tokens.js';
import { within } from './context.js';
import { Refusal, Undecided, unauthenticated } from './refusals.js';

const DEFAULT_TIME = 30_000;

/** Makes handlers for grpc-js out of functions that answer a request. */
export class Admission {
  running = 0;
  served = 0;

  constructor(tokens, statuses, log) {
    Object.assign(this, { tokens, statuses, log });
  }

  /** Lets services of this installation call `work`, and nobody else: ACCESS_INTERNAL, where any service may. */
  internal(work) {
    return this.method(() => {}, (request, caller) => work(request, caller.service));
  }

  /**
   * Lets a service of this installation call `work(request, caller, trailer)` if `check(caller, request)` throws no
   * Refusal; what `work` sets in `trailer` goes with the answer.
   */
  method(check, work) {
    return (call, answer) => {
      const [traceparent = ''] = call.metadata.get('traceparent');
      const wanted = Number(call.getDeadline());
      const deadline = Number.isFinite(wanted) ? wanted : Date.now() + DEFAULT_TIME;
      const trailer = new Metadata();
      const checked = (request, caller) => {
        check(caller, request);
        return work(request, caller, trailer);
      };
      const served = within({ traceparent, deadline }, () => this.#serve(call, checked));
      served.then((reply) => answer(null, reply, trailer), (error) => answer(error));
    };
  }

  async #serve(call, work) {
    this.running++;
    try {
      const [token = ''] = call.metadata.get(CALLER_KEY);
      const caller = token && this.tokens.verify(token, call.getPath());
      if (!caller?.service) throw unauthenticated();
      return await work(call.request, caller);
    } catch (error) {
      if (error instanceof CallerTokenRefused) {
        this.log.warning('a caller token was refused', { method: call.getPath(), reason: error.message });
        throw this.statuses.of(new Refusal(status.UNAVAILABLE, 'CALLER_TOKEN_REFUSED', error.message), 'souk');
      }
      if (error instanceof Refusal) throw this.statuses.of(error);
      if (error instanceof Undecided) {
        const why = (error.cause ?? error).message;
        this.log.warning('a call could not be answered now', { method: call.getPath(), code: error.code, why });
        throw { code: error.code, details: error.message };
      }
      this.log.error('a call failed', { method: call.getPath(), error: error.name, code: error.code });
      throw { code: status.UNKNOWN, details: '' }; // what went wrong in here is nobody else's business
    } finally {
      this.running--;
      this.served++;
    }
  }
}
