// Refunds: of the rest of an order's charge, and of an amount that an admin names.

import { BLOCKED, ORDER, REFUNDED, isRefundable, leftOf } from './domain.js';
import { OutcomeUnknown, inProgress, keyReused, notRefundable, paymentNotFound } from './outcomes.js';
import { Refusal, status } from '../../notification-node/src/refusals.js';
import * as payments from './payments.js';
import { promise } from './record.js';
import { makePromisedRefunds } from './settle.js';

/** Gives back what is left of an order's charge. It is recorded first, and made whatever happens then. */
export async function refundCharge(deps, { key, paymentId, reason }) {
  const name = `order/${key}`;
  return await deps.locks.within(name, async () => {
    const work = async (tx) => {
      const refund = await payments.findRefund(tx, name);
      if (refund && (refund.payment_id !== paymentId || refund.reason !== reason)) throw keyReused();
      const payment = await orderPayment(tx, paymentId);
      if (refund) return payment;
      // If nothing is left, the empty refund still binds the key.
      return await promise(deps, tx, payment, name, leftOf(requireCaptured(payment)), reason);
    };
    return await makePromisedRefunds(deps, await deps.database.run(work, [payments.refundLock(name)]));
  });
}

/** Gives back an amount of a payment; gives the payment, and whether the request was a repeat. */
export async function refundPayment(deps, { caller, key, id, amount, reason }) {
  const name = `admin/${caller}/${key}`;
  return await deps.locks.within(name, async () => {
    const work = async (tx) => {
      const refund = await payments.findRefund(tx, name);
      const same = refund && refund.payment_id === id && refund.amount === amount && refund.reason === reason;
      if (refund && !same) throw keyReused();
      const payment = await orderPayment(tx, id);
      if (refund) return { payment, replayed: true };
      if (amount > leftOf(requireCaptured(payment))) throw tooLarge(leftOf(payment));
      return { payment: await promise(deps, tx, payment, name, amount, reason), replayed: false };
    };
    const { payment, replayed } = await deps.database.run(work, [payments.refundLock(name)]);
    try {
      return { payment: await makePromisedRefunds(deps, payment), replayed };
    } catch (error) {
      throw error instanceof OutcomeUnknown ? inProgress() : error;
    }
  });
}

async function orderPayment(tx, id) {
  const payment = await payments.find(tx, id);
  if (!payment || payment.purpose !== ORDER || payment.status === BLOCKED) throw paymentNotFound();
  return payment;
}

function requireCaptured(payment) {
  if (!isRefundable(payment) && payment.status !== REFUNDED) throw notRefundable();
  return payment;
}

const tooLarge = (left) =>
  new Refusal(status.FAILED_PRECONDITION, 'REFUND_TOO_LARGE', `only ${left} of it can still be refunded`);
