// The ledger, the wallets and the saved cards in SQL, each in the caller's transaction.

import { Refusal, status } from '../../notification-node/src/refusals.js';
import { NOW } from './database.js';

/** Moves an amount between two accounts. Both postings are of one statement, so that they always sum to zero. */
export const transfer = (tx, name, source, target, { currency }, amount, now) =>
  tx.run(
    `INSERT INTO postings (transaction_id, account, currency, amount, created_at)
     VALUES ($1, $2, $4, -CAST($5 AS BIGINT), $6), ($1, $3, $4, CAST($5 AS BIGINT), $6)`,
    name, source, target, currency, amount, now,
  ); // prettier-ignore

/** Takes an amount from a wallet; false when it has less in that currency. */
export const debitWallet = async (tx, userId, amount, currency) =>
  (await tx.run(
    'UPDATE wallets SET balance = balance - $2 WHERE user_id = $1 AND currency = $3 AND balance >= $2',
    userId, amount, currency,
  )) === 1; // prettier-ignore

/** Adds to a wallet of that currency, or to one that was never used. */
export async function creditWallet(tx, userId, amount, currency) {
  const sql = `
    INSERT INTO wallets (user_id, currency, balance, used) VALUES ($1, $3, $2, TRUE)
    ON CONFLICT (user_id) DO UPDATE SET balance = wallets.balance + $2, currency = $3, used = TRUE
    WHERE wallets.currency = $3 OR NOT wallets.used`;
  if ((await tx.run(sql, userId, amount, currency)) !== 1) throw new Error('a wallet that was used has changed its currency');
}

/** Locks and gives the wallet; one that was never used gets that currency. */
export async function claimCurrency(tx, userId, currency) {
  const sql = `
    INSERT INTO wallets (user_id, currency, balance, used) VALUES ($1, $2, 0, FALSE)
    ON CONFLICT (user_id) DO UPDATE SET currency = $2 WHERE NOT wallets.used`;
  await tx.run(sql, userId, currency);
  return await tx.one('SELECT balance, currency FROM wallets WHERE user_id = $1 FOR UPDATE', userId);
}

export const NO_WALLET = { balance: 0, currency: '' };
export const WALLET_OF = 'SELECT balance, currency FROM wallets WHERE user_id = $1';
export const wallet = async (tx, userId) => (await tx.one(WALLET_OF, userId)) ?? NO_WALLET;

const CARD = 'id, user_id, token, brand, last4, is_default, forgotten';
/** A user's card, forgotten or not. */
export const CARD_OF = `SELECT ${CARD} FROM cards WHERE id = $1 AND user_id = $2`;
export const DEFAULT_CARD = `SELECT ${CARD} FROM cards WHERE user_id = $1 AND is_default AND NOT forgotten`;
/** Cards after a rank (0: the default) and an id: the default first, then the others by id. */
export const CARDS_AFTER = `
  SELECT ${CARD} FROM cards
  WHERE user_id = $1 AND NOT forgotten
    AND (CASE WHEN is_default THEN 0 ELSE 1 END > $2 OR (CASE WHEN is_default THEN 0 ELSE 1 END = $2 AND id > $3))
  ORDER BY CASE WHEN is_default THEN 0 ELSE 1 END, id LIMIT $4`;

export const countCards = async (tx, userId) =>
  (await tx.one('SELECT COUNT(*) AS n FROM cards WHERE user_id = $1 AND NOT forgotten', userId)).n;

export const insertCard = (tx, c) =>
  tx.run(
    `INSERT INTO cards (${CARD}, created_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
    c.id, c.user_id, c.token, c.brand, c.last4, c.is_default, c.forgotten, c.created_at,
  ); // prettier-ignore

/** Makes a card the user's only default. */
export async function setDefault(tx, userId, cardId) {
  await tx.run('UPDATE cards SET is_default = FALSE WHERE user_id = $1 AND is_default', userId);
  await tx.run('UPDATE cards SET is_default = TRUE WHERE id = $1', cardId);
}

/** Hides a card; of the hidden ones only the last `most` are kept. */
export async function forgetCard(tx, { id, user_id: userId }, most) {
  const later = '(SELECT MAX(c.forgotten_at) + 1 FROM cards c WHERE c.user_id = $2)';
  await tx.run(
    `UPDATE cards SET is_default = FALSE, forgotten = TRUE, forgotten_at = ${later} WHERE id = $1`, id, userId,
  ); // prettier-ignore
  await tx.run(
    `DELETE FROM cards WHERE user_id = $1 AND forgotten AND forgotten_at <=
       (SELECT MAX(c.forgotten_at) FROM cards c WHERE c.user_id = $1) - CAST($2 AS BIGINT)`,
    userId, most,
  ); // prettier-ignore
}

/** The oldest card, which becomes the default when there is none. */
export const oldestCard = (tx, userId) =>
  tx.one(`SELECT ${CARD} FROM cards WHERE user_id = $1 AND NOT forgotten ORDER BY id LIMIT 1`, userId);

/** The lock under which a user's data is written or erased. */
export const subjectLock = (userId) => `souk_subject:${userId}`;

/** Refuses a user whose account was deleted; the transaction holds `subjectLock(userId)`. */
export async function requireKnown(tx, userId) {
  if (await tx.one('SELECT subject FROM souk_erased_subjects WHERE subject = $1', userId)) {
    throw new Refusal(status.UNAUTHENTICATED, 'UNAUTHENTICATED', 'the account of this token was deleted');
  }
}

/** Erases the cards of a deleted account, once for each event; the transaction holds `subjectLock(userId)`. */
export async function eraseCards(tx, consumer, eventId, userId) {
  const first = `
    INSERT INTO souk_inbox (consumer, event_id, handled_at) VALUES ($1, $2, ${NOW})
    ON CONFLICT (consumer, event_id) DO NOTHING`;
  if ((await tx.run(first, consumer, eventId)) !== 1) return;
  await tx.run(
    `INSERT INTO souk_erased_subjects (subject, erased_at) VALUES ($1, ${NOW}) ON CONFLICT (subject) DO NOTHING`, userId,
  ); // prettier-ignore
  await tx.run('DELETE FROM cards WHERE user_id = $1', userId);
}
