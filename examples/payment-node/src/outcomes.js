// How charges, top-ups and refunds end for their callers, other than well.

import { Refusal, Undecided, status } from '../../notification-node/src/refusals.js';

const RETRY_AFTER = 2;
const DECLINE_INFO = 'shop.payment.v1.DeclineInfo';

/** It may have happened, may not, or may still happen: ask again with the same key. No refusal. */
export class OutcomeUnknown extends Undecided {
  constructor(detail) {
    super(status.DEADLINE_EXCEEDED, detail);
  }
}

export const declined = (reason) =>
  new Refusal(status.FAILED_PRECONDITION, 'PAYMENT_DECLINED', `the payment was declined: ${reason}`, [], {
    [DECLINE_INFO]: { reason },
  });

/** Certainly nothing was charged, and it may be tried again. */
export const unavailable = () =>
  later(status.UNAVAILABLE, 'PAYMENT_UNAVAILABLE', 'the card provider is not available; nothing was charged', RETRY_AFTER);

export const tooManyTries = (seconds) =>
  later(
    status.UNAVAILABLE, 'PAYMENT_UNAVAILABLE',
    `too many of your payments failed; try again in ${Math.ceil(seconds)} s, or with another card; nothing was charged`,
    Math.ceil(seconds),
  ); // prettier-ignore

/** It is recorded and goes on. */
export const inProgress = () =>
  later(status.ABORTED, 'REQUEST_IN_PROGRESS', 'the request is in progress; send it again with the same key', RETRY_AFTER);

export const keyReused = () =>
  new Refusal(status.ALREADY_EXISTS, 'IDEMPOTENCY_KEY_REUSED', 'this key was already used for another request');

export const chargeCancelled = () => new Refusal(status.ABORTED, 'CHARGE_CANCELLED', 'this charge was cancelled');

export const paymentNotFound = () => new Refusal(status.NOT_FOUND, 'PAYMENT_NOT_FOUND', 'the payment does not exist');

export const notRefundable = () =>
  new Refusal(status.FAILED_PRECONDITION, 'NOT_REFUNDABLE', 'this payment was not captured');

/** It never repeats what the buyer sent, which could be a card number. */
export const cardNotFound = () =>
  new Refusal(
    status.NOT_FOUND, 'PAYMENT_METHOD_NOT_FOUND', 'the payment method does not exist, or there is no default card',
  ); // prettier-ignore

/** A request breaks a rule of its contract. */
export const invalid = (field, description) =>
  new Refusal(status.INVALID_ARGUMENT, 'INVALID_REQUEST', `${field}: ${description}`, [{ field, description }]);

const later = (code, reason, detail, seconds) => new Refusal(code, reason, detail, [], {}, seconds);
