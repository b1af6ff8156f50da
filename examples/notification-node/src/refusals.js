// Refusals as they travel: google.rpc.Status with ErrorInfo and BadRequest, in the trailing metadata.

import { Metadata, status } from '@grpc/grpc-js';

export { Metadata, status };

const STATUS_KEY = 'grpc-status-details-bin';
const ERROR_INFO = 'google.rpc.ErrorInfo';
const BAD_REQUEST = 'google.rpc.BadRequest';
const RETRY_INFO = 'google.rpc.RetryInfo';

/**
 * A definite answer other than the one that was asked for; `reason` is one that the contract lists. `more` are messages
 * by their full names, and `retryAfter` is in seconds.
 */
export class Refusal extends Error {
  constructor(code, reason, detail, violations = [], more = {}, retryAfter = 0) {
    super(detail);
    Object.assign(this, { code, reason, violations, more, retryAfter });
  }
}

/** An answer without a reason, so that the caller knows nothing of what was done: `code`, and a text. */
export class Undecided extends Error {
  constructor(code, detail = '', cause = undefined) {
    super(detail, { cause });
    this.code = code;
  }
}

/** A request that says something that makes no sense, by the field that does. */
export const invalidArgument = (field, description) =>
  new Refusal(status.INVALID_ARGUMENT, 'INVALID_ARGUMENT', `${field}: ${description}`, [{ field, description }]);

/** Whoever calls is no service of this installation. */
export const unauthenticated = () =>
  new Refusal(status.UNAUTHENTICATED, 'UNAUTHENTICATED', 'only services may call this');

/** Whoever calls is a service that may not do this. */
export const forbidden = (detail) => new Refusal(status.PERMISSION_DENIED, 'FORBIDDEN', detail);

/** Writes refusals into statuses, and reads their reasons. */
export class Statuses {
  constructor(contracts, domain) {
    this.domain = domain;
    this.contracts = contracts;
    this.status = contracts.type('google.rpc.Status');
  }

  /** A refusal as grpc-js takes it from a handler. */
  of({ code, message, reason, violations, more, retryAfter }, domain = this.domain) {
    const details = [this.#packed(ERROR_INFO, { reason, domain })];
    if (retryAfter) details.push(this.#packed(RETRY_INFO, { retryDelay: durationOf(retryAfter) }));
    if (violations.length) details.push(this.#packed(BAD_REQUEST, { fieldViolations: violations }));
    for (const [name, one] of Object.entries(more)) details.push(this.#packed(name, one));
    const metadata = new Metadata();
    metadata.set(STATUS_KEY, this.status.serialize({ code, message, details }));
    return { code, details: message, metadata };
  }

  /** The reason for which a call was refused; empty when the error names none. */
  reasonOf(error) {
    const [raw] = error.metadata?.get(STATUS_KEY) ?? [];
    const found = raw && this.status.deserialize(raw).details.find((one) => one.type_url === urlOf(ERROR_INFO));
    return found ? this.contracts.type(ERROR_INFO).deserialize(found.value).reason : '';
  }

  #packed(name, message) {
    return { type_url: urlOf(name), value: this.contracts.type(name).serialize(message) };
  }
}

const urlOf = (name) => `type.googleapis.com/${name}`;
const durationOf = (seconds) => ({ seconds: Math.trunc(seconds), nanos: Math.round((seconds % 1) * 1e9) });
