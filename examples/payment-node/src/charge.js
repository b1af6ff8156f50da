// Charges for orders, and their undoing. The same key is the same charge for ever: the intent commits before the bank is
// called, so that after a crash the charge can be looked up by its key, and no charge is unknown.

import * as books from './books.js';
import { BankRefused, BankSilent, BankUnavailable, isTrouble } from './bank.js';
import {
  BLOCKED, CAPTURED, DECLINED, ORDER, PENDING, REFUNDED, VOIDED, WALLET, anew, attemptKey, isRefundable, newId, now,
  paymentOf, recoveryTime, sameRequest,
} from './domain.js'; // prettier-ignore
import { OutcomeUnknown, chargeCancelled, declined, keyReused, tooManyTries, unavailable } from './outcomes.js';
import * as payments from './payments.js';
import { postCharge, recordAnswer, recordRelease, undo } from './record.js';
import { settlePayment } from './settle.js';

const CARD_GONE = 'card_not_available';

/** Charges for an order, now or by an earlier call with the same key; `cardId` is empty for the wallet. */
export async function chargeOrder(deps, command) {
  const payment = await deps.locks.within(command.key, () =>
    command.cardId
      ? chargeByCard(deps, command)
      : deps.database.run((tx) => chargeByWallet(tx, wantedOf(command, undefined))),
  );
  if (payment.status === DECLINED) throw declined(payment.decline_reason);
  if (payment.cancelled || payment.status === BLOCKED || payment.status === VOIDED) throw chargeCancelled();
  return payment;
}

async function chargeByCard(deps, command) {
  const [card] = await deps.database.read(books.CARD_OF, command.cardId, command.userId);
  const intent = await deps.database.run((tx) => recordIntent(deps, tx, wantedOf(command, card), card));
  if (intent.payment.status !== PENDING || intent.payment.cancelled) return intent.payment;
  const payment = await chargeCard(deps, intent);
  await settleIfCancelled(deps, payment);
  return payment;
}

async function recordIntent(deps, tx, wanted, card) {
  if (deps.failures.wait(wanted.user_id) > 0) requireBudget(deps, wanted, await payments.findByKey(tx, wanted.key));
  if (card && (await payments.insert(tx, wanted, recoveryTime()))) return { payment: wanted, token: card.token, firstTry: true };
  const found = await known(tx, wanted);
  if (!found) throw declined(CARD_GONE);
  return await reopened(tx, found, card?.token);
}

/** Refuses a new try of a customer whose cards have failed too often; charges under way go on. */
export function requireBudget(deps, wanted, found) {
  if (found && !found.released && found.status !== VOIDED) return;
  const seconds = deps.failures.wait(wanted.user_id);
  if (seconds > 0) throw tooManyTries(seconds);
}

/** The intent of a known charge, which is tried again if the try before certainly charged nothing. */
export async function reopened(tx, found, token) {
  if (found.cancelled || (found.status !== PENDING && found.status !== VOIDED)) return { payment: found, token, firstTry: false };
  if (!token && found.status === VOIDED) throw declined(CARD_GONE);
  if (!token) {
    const cancelled = { ...found, cancelled: true };
    await payments.update(tx, cancelled, now());
    return { payment: cancelled, token, firstTry: false };
  }
  const unasked = found.released || found.status === VOIDED;
  if (!unasked && found.shared) return { payment: found, token, firstTry: false };
  const changed = unasked ? anew(found) : { ...found, shared: true };
  await payments.update(tx, changed, recoveryTime());
  return { payment: changed, token, firstTry: unasked };
}

/** Pays from the wallet, in one transaction: no bank takes part. */
async function chargeByWallet(tx, wanted) {
  const payment = { ...wanted, status: CAPTURED };
  if (!(await payments.insert(tx, payment, null))) return await known(tx, payment);
  if (await books.debitWallet(tx, payment.user_id, payment.amount, payment.currency)) {
    await postCharge(tx, payment);
    return payment;
  }
  const { currency } = await books.wallet(tx, payment.user_id);
  const isOther = currency !== '' && currency !== payment.currency;
  const refused = { ...payment, status: DECLINED, decline_reason: isOther ? 'currency_mismatch' : 'insufficient_funds' };
  await payments.update(tx, refused);
  return refused;
}

async function known(tx, wanted) {
  const found = await payments.findByKey(tx, wanted.key);
  if (found && found.status !== BLOCKED && !sameRequest(found, wanted)) throw keyReused();
  return found;
}

const wantedOf = ({ key, orderId, userId, amount, currency, cardId }, card) =>
  paymentOf({
    id: newId('PAY'),
    key,
    purpose: ORDER,
    order_id: orderId,
    user_id: userId,
    amount,
    currency,
    source: cardId ? `card/${cardId}` : WALLET,
    method: card ? `${card.brand} ${card.last4}` : WALLET,
  });

/**
 * Charges the card, records the bank's answer, and gives the payment. Refuses when certainly nothing was charged, and
 * throws OutcomeUnknown when that is not certain.
 */
export async function chargeCard(deps, { payment, token, firstTry }) {
  let answer;
  try {
    answer = await ask(deps, payment, token, firstTry);
  } catch (error) {
    if (!(error instanceof BankUnavailable)) throw error;
    if (!(error instanceof BankRefused)) throw await unreached(deps, payment, error, firstTry);
    deps.failures.note(payment.user_id);
    answer = await madeSure(deps, payment, error, firstTry);
  }
  const recorded = await deps.database.run((tx) => recordAnswer(deps, tx, payment, answer));
  if (recorded.status === VOIDED && !recorded.cancelled) throw unavailable();
  return recorded;
}

/** Earlier tries may have charged, so the charge is looked up first, unless this is the first try. */
async function ask(deps, payment, token, firstTry) {
  let answer = firstTry ? undefined : await askByKey(deps, payment);
  if (!isFinal(answer)) {
    try {
      answer = await deps.bank.charge(attemptKey(payment.id, payment.attempt), token, payment.amount, payment.currency);
    } catch (error) {
      if (!(error instanceof BankSilent)) throw error;
      answer = await askByKey(deps, payment);
    }
  }
  if (!isFinal(answer)) throw new OutcomeUnknown('the outcome of the charge is not known yet');
  return answer;
}

const isFinal = (answer) => answer !== undefined && answer.verdict !== 'processing';

async function askByKey(deps, payment) {
  try {
    return await deps.bank.find(attemptKey(payment.id, payment.attempt));
  } catch (error) {
    throw isTrouble(error) ? new OutcomeUnknown(error.message) : error;
  }
}

/** Voids a refused charge at the bank, so that it is certain; the answer may be that it was charged. */
async function madeSure(deps, payment, cause, firstTry) {
  try {
    return await deps.bank.void(attemptKey(payment.id, payment.attempt));
  } catch (error) {
    throw isTrouble(error) ? await unreached(deps, payment, cause, firstTry) : error;
  }
}

/** The error of a charge that, as far as is known, never reached the bank. */
async function unreached(deps, payment, cause, firstTry) {
  const released = firstTry && (await deps.database.run((tx) => recordRelease(tx, payment)));
  return released ? unavailable() : new OutcomeUnknown(cause.message);
}

/** Gives back at once what was charged after its cancellation; if the bank fails, recovery does. */
export async function settleIfCancelled(deps, payment) {
  if (payment.cancelled) await settled(deps, payment);
}

/** Undoes a charge for good; once it answers, that is durable, and recovery does what is left. */
export async function cancelCharge(deps, { key, orderId }) {
  const recorded = await deps.database.run((tx) => cancelled(deps, tx, key, orderId));
  const again = !isSettled(recorded) && !deps.locks.isHeld(key);
  const payment = again ? await settled(deps, recorded) : recorded;
  return { status: payment.status === BLOCKED ? undefined : payment.status, settled: isSettled(payment) };
}

async function cancelled(deps, tx, key, orderId) {
  const blank = { user_id: '', amount: 0, currency: '', source: '', method: '' };
  const tombstone = paymentOf({
    id: newId('PAY'), key, purpose: ORDER, order_id: orderId, ...blank, status: BLOCKED, cancelled: true,
  }); // prettier-ignore
  if (await payments.insert(tx, tombstone, null)) return tombstone;
  const found = await payments.findByKey(tx, key);
  if (found.cancelled || [DECLINED, BLOCKED, REFUNDED].includes(found.status)) return found;
  const changed = { ...found, cancelled: true };
  await payments.update(tx, changed, found.status === PENDING ? recoveryTime() : null);
  return await undo(deps, tx, changed);
}

async function settled(deps, payment) {
  try {
    return await settlePayment(deps, payment);
  } catch (error) {
    if (isTrouble(error)) return payment;
    throw error;
  }
}

const isSettled = (payment) => !isRefundable(payment) && payment.status !== PENDING;
