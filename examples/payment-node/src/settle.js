// Finishes what is recorded: learns the outcome of a charge, voids it if it was cancelled, and makes its open refunds.
// The bank is called by key, so that repeats are harmless, after any crash.

import { setTimeout as pause } from 'node:timers/promises';
import { BankRefused, isTrouble } from './bank.js';
import { PENDING, TOP_UP, attemptKey, now, recoveryTime } from './domain.js';
import { OutcomeUnknown } from './outcomes.js';
import * as payments from './payments.js';
import { recordAnswer, recordRefund } from './record.js';

const MOST_ATTEMPTS = 5; // how often a refund that fails is tried before it waits to be asked for again
const BATCH = 50;
const INTERVAL = 1_000;
const ABSENT = 60_000_000;
const PATIENCE = 24 * 3_600_000_000;

/** Records the outcome of a pending charge, makes every open refund, and gives the payment. Throws the bank's trouble. */
export async function settlePayment(deps, payment) {
  let settled = payment.status === PENDING ? await settleCharge(deps, payment) : payment;
  const open = await deps.database.run(async (tx) => {
    settled = (await payments.find(tx, payment.id)) ?? settled;
    return await payments.openRefunds(tx, payment.id);
  });
  for (const refund of open) settled = await makeRefund(deps, refund);
  return settled;
}

/** Makes every promised refund and gives the payment; throws OutcomeUnknown when the bank cannot make one now. */
export async function makePromisedRefunds(deps, payment) {
  if (payment.promised === payment.refunded) return payment;
  try {
    return await settlePayment(deps, payment);
  } catch (error) {
    throw isTrouble(error) ? new OutcomeUnknown(error.message) : error;
  }
}

/** Makes a recorded refund at the bank; throws its trouble, also while the refund is pending there. */
async function makeRefund(deps, refund) {
  const key = attemptKey(refund.id, refund.attempt);
  const known = refund.pending ? await deps.bank.findRefund(key) : undefined;
  const charge = attemptKey(refund.payment_id, refund.charge_attempt);
  const verdict = known ?? (await deps.bank.refund(key, charge, refund.amount));
  if (verdict === 'succeeded') return await deps.database.run((tx) => recordRefund(deps, tx, refund));
  const failed = verdict === 'failed';
  const attempt = failed ? refund.attempt + 1 : refund.attempt;
  const given = failed && attempt % MOST_ATTEMPTS === 0;
  if (given) deps.log.error('a refund has failed at the card provider; nobody tries it again', { refund: refund.id, attempt });
  const changed = { ...refund, attempt, pending: !failed };
  await deps.database.run((tx) => payments.updateRefund(tx, changed, given ? null : recoveryTime()));
  throw new BankRefused(`the card provider says of the refund: ${verdict}`);
}

async function settleCharge(deps, payment) {
  const key = attemptKey(payment.id, payment.attempt);
  const answer = await (payment.cancelled || payment.released ? deps.bank.void(key) : deps.bank.find(key));
  if (!answer || answer.verdict === 'processing') return payment;
  return await deps.database.run((tx) => recordAnswer(deps, tx, payment, answer));
}

/** Finishes charges and refunds that were left unfinished, until `signal` aborts. */
export async function recoverForEver(deps, signal) {
  while (!signal.aborted) {
    const found = await recover(deps).catch((error) => {
      deps.log.warning('recovery waits', { error: error.name, code: error.code });
      return 0;
    });
    if (found < BATCH) await pause(INTERVAL, undefined, { signal }).catch(() => {});
  }
}

/** Tries once to finish what is due; gives how much that was. Each is put off before its try. */
async function recover(deps) {
  const charges = await deps.database.run((tx) => payments.claim(tx, now(), BATCH));
  await Promise.all(charges.map((payment) => attempted(deps, () => recoverCharge(deps, payment))));
  const refunds = await deps.database.run((tx) => payments.claimRefunds(tx, now(), BATCH));
  await Promise.all(refunds.map((refund) => attempted(deps, () => makeRefund(deps, refund))));
  return charges.length + refunds.length;
}

async function recoverCharge(deps, payment) {
  return await settlePayment(deps, (await isLeft(deps, payment)) ? await giveUp(deps, payment) : payment);
}

async function attempted(deps, work) {
  try {
    await work();
  } catch (error) {
    if (!isTrouble(error)) throw error;
    deps.log.warning('a payment is not settled yet', { error: error.message });
  }
}

/** Whether a top-up has no outcome and no request waits for one. Charges of orders are cancelled by Order. */
async function isLeft(deps, payment) {
  const waited = now() - payment.created_at;
  const open = payment.status === PENDING && !payment.cancelled && !payment.released;
  if (payment.purpose !== TOP_UP || !open || waited < ABSENT) return false;
  return waited >= PATIENCE || !(await deps.bank.find(attemptKey(payment.id, payment.attempt)));
}

const giveUp = (deps, payment) =>
  deps.database.run(async (tx) => {
    const found = await payments.find(tx, payment.id);
    if (found.status !== PENDING) return found;
    const released = { ...found, released: true };
    await payments.update(tx, released, recoveryTime());
    return released;
  });
