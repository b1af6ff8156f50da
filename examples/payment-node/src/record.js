// Records outcomes of charges and refunds, each in the caller's transaction, as use_cases/record_outcome.py does.

import * as books from './books.js';
import {
  CAPTURED, DECLINED, ORDER, PENDING, VOIDED, byWallet, isRefundable, leftOf, newId, now, payingAccount,
  receivingAccount, recoveryTime, refundMade, walletAccount,
} from './domain.js'; // prettier-ignore
import * as payments from './payments.js';

/** Records the bank's final answer about a charge, unless it is recorded already; gives the payment. */
export async function recordAnswer(deps, tx, payment, { verdict, reason }) {
  if (verdict === 'charged') return await recordCapture(deps, tx, payment);
  const found = await payments.find(tx, payment.id);
  if (found.status !== PENDING || found.attempt !== payment.attempt) return found;
  const ended = verdict === 'declined' ? { status: DECLINED, decline_reason: reason } : { status: VOIDED, decline_reason: '' };
  const changed = { ...found, ...ended };
  await payments.update(tx, changed);
  return changed;
}

/** Records that, as far as is known, nothing was charged; false if another request may be charging now. */
export async function recordRelease(tx, payment) {
  const found = await payments.find(tx, payment.id);
  if (found.status !== PENDING || found.shared || found.attempt !== payment.attempt) return false;
  await payments.update(tx, { ...found, released: true }, recoveryTime());
  return true;
}

async function recordCapture(deps, tx, payment) {
  let changed;
  if (payment.status === PENDING && (await payments.capture(tx, payment))) {
    changed = { ...payment, status: CAPTURED, decline_reason: '' };
  } else {
    const found = await payments.find(tx, payment.id);
    if (found.status !== PENDING && found.status !== VOIDED) return found;
    changed = { ...found, status: CAPTURED, decline_reason: '', cancelled: found.cancelled || wasGivenUp(found) };
    await payments.update(tx, changed);
  }
  await postCharge(tx, changed);
  return changed.cancelled ? await undo(deps, tx, changed) : changed;
}

/** Whether the caller went on as if nothing had been charged, so that the charge must be undone. */
const wasGivenUp = ({ status, released, purpose }) => status === VOIDED || (released && purpose === ORDER);

/** Posts a charge to the ledger, and credits the wallet with a top-up. */
export async function postCharge(tx, payment) {
  const target = receivingAccount(payment);
  await books.transfer(tx, `charge/${payment.id}`, payingAccount(payment), target, payment, payment.amount, now());
  if (target === walletAccount(payment.user_id)) {
    await books.creditWallet(tx, payment.user_id, payment.amount, payment.currency);
  }
}

/** Records the refund of all that is left of a cancelled charge. */
export async function undo(deps, tx, payment) {
  if (!isRefundable(payment) || !leftOf(payment)) return payment;
  return await promise(deps, tx, payment, `undo/${payment.id}`, leftOf(payment), 'cancelled', true);
}

/** Records a refund: one to a wallet is made at once, one to a card later by the bank. Gives the payment. */
export async function promise(deps, tx, payment, key, amount, reason, isUndo = false) {
  const refund = {
    id: newId('RF'), key, payment_id: payment.id, amount, reason, undo: isUndo, done: amount === 0, created_at: now(),
  }; // prettier-ignore
  const promised = { ...payment, promised: payment.promised + amount };
  await payments.insertRefund(tx, refund, refund.done ? null : recoveryTime());
  await payments.update(tx, promised);
  return byWallet(payment) && !refund.done ? await recordRefund(deps, tx, refund) : promised;
}

/** Records that a refund was made, unless it is recorded already, and publishes it for an order. Gives the payment. */
export async function recordRefund(deps, tx, refund) {
  const found = await payments.find(tx, refund.payment_id);
  if (!(await payments.finishRefund(tx, refund.id))) return found;
  const payment = refundMade(found, refund.amount);
  await payments.update(tx, payment);
  const [source, target] = [receivingAccount(payment), payingAccount(payment)];
  await books.transfer(tx, `refund/${refund.id}`, source, target, payment, refund.amount, now());
  if (byWallet(payment)) await books.creditWallet(tx, payment.user_id, refund.amount, payment.currency);
  if (!refund.undo) {
    await deps.outbox.publish(tx, payment.order_id, 'shop.payment.v1.PaymentRefunded', {
      paymentId: payment.id,
      orderId: payment.order_id,
      userId: payment.user_id,
      amount: refund.amount,
      refundedTotal: payment.refunded,
      currency: payment.currency,
      refundId: refund.id,
    });
  }
  return payment;
}
