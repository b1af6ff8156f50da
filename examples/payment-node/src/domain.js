// Charges and their refunds. A payment and a refund are rows as the database has them; amounts are in minor units, times
// in microseconds since 1970.

import { randomBytes } from 'node:crypto';

export const WALLET = 'wallet';
export const MAX_MONEY = Number.MAX_SAFE_INTEGER;
export const PENDING = 'PENDING';
export const CAPTURED = 'CAPTURED';
export const DECLINED = 'DECLINED';
export const VOIDED = 'VOIDED';
export const PARTIALLY_REFUNDED = 'PARTIALLY_REFUNDED';
export const REFUNDED = 'REFUNDED';
export const BLOCKED = 'BLOCKED'; // cancelled before it was asked for; never shown
export const ORDER = 'order';
export const TOP_UP = 'top-up';
const BANK = 'bank';
const SALES = 'sales';
const SUSPENSE = 'suspense';
const GRACE = 10_000_000; // microseconds in which the request that recorded an intent goes on with it
const ALPHABET = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** The time now. */
export const now = () => Date.now() * 1_000;

/** When an intent that is recorded now is due for recovery. */
export const recoveryTime = () => now() + GRACE;

/** A new id, a ULID behind its prefix. */
export function newId(prefix) {
  let number = (BigInt(Date.now()) << 80n) | BigInt(`0x${randomBytes(10).toString('hex')}`);
  let text = '';
  for (let digits = 26; digits; digits--, number >>= 5n) text = ALPHABET[Number(number & 31n)] + text;
  return `${prefix}-${text}`;
}

/** A charge that is not recorded yet. */
export const paymentOf = (given) => ({
  status: PENDING,
  cancelled: false,
  decline_reason: '',
  refunded: 0,
  promised: 0,
  attempt: 0,
  released: false,
  shared: false,
  created_at: now(),
  ...given,
});

export const isRefundable = ({ status }) => status === CAPTURED || status === PARTIALLY_REFUNDED;
export const byWallet = ({ source }) => source === WALLET;
/** What can still be given back. */
export const leftOf = ({ amount, promised }) => amount - promised;

const REQUEST = ['purpose', 'order_id', 'user_id', 'amount', 'currency', 'source'];
/** Whether both ask for the same charge. */
export const sameRequest = (one, other) => REQUEST.every((name) => one[name] === other[name]);

/** A charge that is tried again: a voided one is another charge to the bank, a released one goes on. */
export const anew = (payment) => ({
  ...payment,
  status: PENDING,
  attempt: payment.status === PENDING ? payment.attempt : payment.attempt + 1,
  released: false,
  shared: false,
});

/** A charge of which a promised refund was made. */
export function refundMade(payment, amount) {
  const refunded = payment.refunded + amount;
  return { ...payment, refunded, status: refunded === payment.amount ? REFUNDED : PARTIALLY_REFUNDED };
}

/** The bank's key of an attempt at a charge or a refund. */
export const attemptKey = (id, attempt) => (attempt ? `${id}/${attempt}` : id);

export const walletAccount = (userId) => `wallet/${userId}`;
/** The account that a charge debits. */
export const payingAccount = (payment) => (byWallet(payment) ? walletAccount(payment.user_id) : BANK);
/** The account that a charge credits. */
export function receivingAccount(payment) {
  if (payment.purpose === ORDER) return SALES;
  return payment.cancelled ? SUSPENSE : walletAccount(payment.user_id);
}

/** Locks by key within this process. */
export class KeyLocks {
  #last = new Map();

  isHeld(key) {
    return this.#last.has(key);
  }

  /** Runs `work` once all before it with this key have ended. */
  async within(key, work) {
    const before = this.#last.get(key);
    const mine = (async () => {
      await before?.catch(() => {});
      return await work();
    })();
    this.#last.set(key, mine);
    try {
      return await mine;
    } finally {
      if (this.#last.get(key) === mine) this.#last.delete(key);
    }
  }
}

/** How often a customer's cards were refused: after 20 tries in a minute there is no other. It counts in this process. */
export class FailingCards {
  #most = 20;
  #span = 60_000;
  #refused = new Map();

  note(customer) {
    const times = [...(this.#refused.get(customer) ?? []), performance.now()].slice(-this.#most);
    this.#refused.delete(customer);
    this.#refused.set(customer, times);
    if (this.#refused.size > 10_000) this.#refused.delete(this.#refused.keys().next().value);
  }

  /** Seconds until this customer may try again. */
  wait(customer) {
    const times = this.#refused.get(customer) ?? [];
    return times.length < this.#most ? 0 : Math.max(0, times[0] + this.#span - performance.now()) / 1_000;
  }
}
