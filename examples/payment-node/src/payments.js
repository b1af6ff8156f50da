// Charges and refunds in SQL, the statements of marketplace/payment/store/payments.py. Functions with `tx` belong to the
// caller's transaction; `find` and `findByKey` lock what they give until it ends.

import { NOW } from './database.js';

const COLUMNS =
  'id, key, purpose, order_id, user_id, amount, currency, source, method, status, cancelled, decline_reason,' +
  ' refunded, promised, created_at, attempt, released, shared';
const NAMES = COLUMNS.split(',').map((name) => name.trim());
const REFUND =
  'id, key, payment_id, amount, reason, undo, done, created_at, attempt, pending,' +
  ' (SELECT p.attempt FROM payments p WHERE p.id = payment_id) AS charge_attempt';
const FIRST_WAIT = 2_000_000;
const LONGEST_WAIT = 3_600_000_000;
const LAST = '\x7f'; // sorts after every id

/** SQL for a line of a payment's history: the time, and what it came to. */
const line = (status, cancelled) =>
  `CAST(${NOW} AS TEXT) || ' ' || CAST(${status} AS TEXT) || CASE WHEN ${cancelled} THEN ' cancelled' ELSE '' END || E'\\n'`;

/** Records a charge under a new key; false when the key is known. */
export async function insert(tx, payment, nextTryAt) {
  const values = NAMES.map((name) => payment[name]);
  const slots = values.map((_, index) => `$${index + 1}`).join(', ');
  const sql = `
    INSERT INTO payments (${COLUMNS}, next_try_at, tries, history)
    VALUES (${slots}, $${values.length + 1}, 0, ${line('$10', '$11')}) ON CONFLICT (key) DO NOTHING`;
  return (await tx.run(sql, ...values, nextTryAt)) === 1;
}

export const find = (tx, id) => tx.one(`SELECT ${COLUMNS} FROM payments WHERE id = $1 FOR UPDATE`, id);
export const findByKey = (tx, key) => tx.one(`SELECT ${COLUMNS} FROM payments WHERE key = $1 FOR UPDATE`, key);

/** Records the changed fields of a charge, and when it is due for recovery, if ever. */
export async function update(tx, p, nextTryAt = null) {
  const sql = `
    UPDATE payments SET status = $2, cancelled = $3, decline_reason = $4, refunded = $5, promised = $6,
        next_try_at = $7, tries = 0, attempt = $8, released = $9, shared = $10,
        history = history || CASE WHEN status = $2 AND cancelled = $3 THEN '' ELSE ${line('$2', '$3')} END
    WHERE id = $1`;
  const changes = [p.status, p.cancelled, p.decline_reason, p.refunded, p.promised];
  await tx.run(sql, p.id, ...changes, nextTryAt, p.attempt, p.released, p.shared);
}

/** Captures a PENDING charge; false if it is not PENDING, or was cancelled, released or tried again. */
export async function capture(tx, { id, cancelled, attempt }) {
  const sql = `
    UPDATE payments SET status = 'CAPTURED', next_try_at = NULL, history = history || ${line("'CAPTURED'", '$2')}
    WHERE id = $1 AND status = 'PENDING' AND cancelled = $2 AND attempt = $3 AND NOT released`;
  return (await tx.run(sql, id, cancelled, attempt)) === 1;
}

/** A charge of one of a user's orders, without a lock. */
export async function get(database, id, userId) {
  const sql = `SELECT ${COLUMNS} FROM payments WHERE id = $1 AND user_id = $2 AND purpose = 'order'`;
  return (await database.read(sql, id, userId))[0];
}

/** Charges of a user's orders, the newest first, after the id `before`. */
export const page = (database, userId, before, limit) =>
  database.read(
    `SELECT ${COLUMNS} FROM payments WHERE user_id = $1 AND id < $2 AND purpose = 'order' ORDER BY id DESC LIMIT $3`,
    userId, before ?? LAST, limit,
  ); // prettier-ignore

/** Charges of orders that are captured, not undone, and older than `age` microseconds, by id after `after`. */
export const standing = (database, after, age, limit) =>
  database.read(
    `SELECT id, key, order_id FROM payments
     WHERE id > $1 AND purpose = 'order' AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED')
        AND NOT cancelled AND promised < amount AND created_at <= ${NOW} - CAST($2 AS BIGINT)
     ORDER BY id LIMIT $3`,
    after, age, limit,
  ); // prettier-ignore

/** A user's top-ups whose outcome is not known. */
export const openTopUps = (tx, userId) =>
  tx.all(`SELECT ${COLUMNS} FROM payments WHERE user_id = $1 AND purpose = 'top-up' AND status = 'PENDING'`, userId);

/** What may be given back to a user's wallet. */
export async function spentFromWallet(tx, userId) {
  const sql = `
    SELECT CAST(COALESCE(SUM(amount - refunded), 0) AS BIGINT) AS spent FROM payments
    WHERE user_id = $1 AND source = 'wallet' AND status IN ('CAPTURED', 'PARTIALLY_REFUNDED')`;
  return (await tx.one(sql, userId)).spent;
}

/** Charges that are due for recovery, each put off, for longer each time, so that nobody else takes it. */
export const claim = (tx, now, limit) => claimed(tx, 'payments', COLUMNS, now, limit);

/** Refunds that are due for recovery, put off as well. */
export const claimRefunds = (tx, now, limit) => claimed(tx, 'refunds', REFUND, now, limit);

async function claimed(tx, table, columns, now, limit) {
  const due = `SELECT ${columns}, tries FROM ${table} WHERE next_try_at <= $1 ORDER BY next_try_at LIMIT $2`;
  const rows = await tx.all(`${due} FOR UPDATE SKIP LOCKED`, now, limit);
  for (const { id, tries } of rows) {
    const wait = Math.min(FIRST_WAIT * 2 ** tries, LONGEST_WAIT);
    await tx.run(`UPDATE ${table} SET next_try_at = $2, tries = tries + 1 WHERE id = $1`, id, now + wait);
  }
  return rows;
}

/** Records a refund under a new key. */
export async function insertRefund(tx, r, nextTryAt) {
  const sql = `
    INSERT INTO refunds (id, key, payment_id, amount, reason, undo, done, created_at, next_try_at, tries)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0)`;
  await tx.run(sql, r.id, r.key, r.payment_id, r.amount, r.reason, r.undo, r.done, r.created_at, nextTryAt);
}

/** The lock under which the refund of a key is found. */
export const refundLock = (key) => `refund:${key}`;

/** The refund of a key; the transaction holds `refundLock(key)`. */
export const findRefund = (tx, key) => tx.one(`SELECT ${REFUND} FROM refunds WHERE key = $1`, key);

/** Records the bank's answer about a refund that is not done, and when it is due for recovery, if ever. */
export const updateRefund = (tx, { id, attempt, pending }, nextTryAt) =>
  tx.run('UPDATE refunds SET attempt = $2, pending = $3, next_try_at = $4 WHERE id = $1 AND NOT done',
    id, attempt, pending, nextTryAt); // prettier-ignore

/** Marks a refund as done; false when it was. */
export const finishRefund = async (tx, id) =>
  (await tx.run('UPDATE refunds SET done = TRUE, next_try_at = NULL WHERE id = $1 AND NOT done', id)) === 1;

/** The refunds of a charge that are not done. */
export const openRefunds = (tx, paymentId) =>
  tx.all(`SELECT ${REFUND} FROM refunds WHERE payment_id = $1 AND NOT done ORDER BY id`, paymentId);
