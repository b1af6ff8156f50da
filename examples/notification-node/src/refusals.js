// Refusals as they travel: google.rpc.Status with ErrorInfo and BadRequest, in the trailing metadata.

import { Metadata, status } from '@grpc/grpc-js';

const STATUS_KEY = 'grpc-status-details-bin';
const DETAILS = { errorInfo: 'google.rpc.ErrorInfo', badRequest: 'google.rpc.BadRequest' };

/** A definite answer other than the one that was asked for; `reason` is one that the contract lists. */
export class Refusal extends Error {
  constructor(code, reason, detail, violations = []) {
    super(detail);
    Object.assign(this, { code, reason, violations });
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
    this.status = contracts.type('google.rpc.Status');
    this.types = Object.fromEntries(Object.entries(DETAILS).map(([key, name]) => [key, contracts.type(name)]));
  }

  /** A refusal as grpc-js takes it from a handler. */
  of({ code, message, reason, violations }, domain = this.domain) {
    const details = [this.#packed('errorInfo', { reason, domain })];
    if (violations.length) details.push(this.#packed('badRequest', { fieldViolations: violations }));
    const metadata = new Metadata();
    metadata.set(STATUS_KEY, this.status.serialize({ code, message, details }));
    return { code, details: message, metadata };
  }

  /** The reason for which a call was refused; empty when the error names none. */
  reasonOf(error) {
    const [raw] = error.metadata?.get(STATUS_KEY) ?? [];
    const found = raw && this.status.deserialize(raw).details.find((one) => one.type_url === urlOf('errorInfo'));
    return found ? this.types.errorInfo.deserialize(found.value).reason : '';
  }

  #packed(kind, message) {
    return { type_url: urlOf(kind), value: this.types[kind].serialize(message) };
  }
}

const urlOf = (kind) => `type.googleapis.com/${DETAILS[kind]}`;
