// What buyers do themselves: they save cards, forget them, and top their wallets up.

import { createHash } from 'node:crypto';
import { Refusal, status } from '../../notification-node/src/refusals.js';
import * as books from './books.js';
import { chargeCard, reopened, requireBudget, settleIfCancelled } from './charge.js';
import { CAPTURED, DECLINED, MAX_MONEY, PENDING, TOP_UP, newId, now, paymentOf, recoveryTime, sameRequest } from './domain.js';
import { OutcomeUnknown, cardNotFound, declined, inProgress, invalid, keyReused } from './outcomes.js';
import * as payments from './payments.js';

const MOST_CARDS = 20;
const FORGOTTEN_KEPT = 100;
const ABANDONED = 'abandoned';
const DEFAULT = 'card';

/** The id of the card to charge; empty for the wallet. */
export async function resolveMethod(deps, userId, method) {
  if (method === 'wallet') return '';
  const [card] = await (method === DEFAULT
    ? deps.database.read(books.DEFAULT_CARD, userId)
    : deps.database.read(books.CARD_OF, method, userId));
  if (!card || card.forgotten) throw cardNotFound();
  return card.id;
}

/** Saves the card behind a token; the first becomes the default. */
export async function saveCard(deps, userId, token, wantsDefault) {
  const face = faceOf(deps, token);
  const work = async (tx) => {
    await books.requireKnown(tx, userId);
    if ((await books.countCards(tx, userId)) >= MOST_CARDS) throw tooManyCards();
    const isDefault = wantsDefault || !(await tx.one(books.DEFAULT_CARD, userId));
    const card = { id: newId('PM'), user_id: userId, token, ...face, is_default: isDefault, forgotten: false, created_at: now() };
    if (isDefault) await books.setDefault(tx, userId, card.id);
    await books.insertCard(tx, card);
    return card;
  };
  return await deps.database.run(work, [books.subjectLock(userId)]);
}

/** Hides a card; if it was the default, the oldest one that is left is. */
export const forgetCard = (deps, userId, cardId) =>
  deps.database.run(async (tx) => {
    await books.requireKnown(tx, userId);
    const card = await tx.one(books.CARD_OF, cardId, userId);
    if (!card || card.forgotten) throw cardNotFound();
    await books.forgetCard(tx, card, FORGOTTEN_KEPT);
    const heir = card.is_default && (await books.oldestCard(tx, userId));
    if (heir) await books.setDefault(tx, userId, heir.id);
  }, [books.subjectLock(userId)]); // prettier-ignore

/** Charges a card and adds the amount to the wallet; gives the wallet, and whether the request was a repeat. */
export async function topUpWallet(deps, { userId, key, amount, currency, token }) {
  const { brand, last4 } = faceOf(deps, token);
  const wanted = paymentOf({
    id: newId('TOP'),
    key: `top-up/${userId}/${key}`,
    purpose: TOP_UP,
    order_id: '',
    user_id: userId,
    amount,
    currency,
    source: `token/${createHash('sha256').update(token).digest('hex').slice(0, 32)}`,
    method: `${brand} ${last4}`,
  });
  return await deps.locks.within(wanted.key, async () => {
    // Top-ups under way count against the wallet's limit, so those of one user go one after the other.
    const locks = [books.subjectLock(userId), `wallet:${userId}`];
    const intent = await deps.database.run((tx) => recordIntent(deps, tx, wanted, token), locks);
    const open = intent.payment.status === PENDING && !intent.payment.cancelled;
    const payment = open ? await charged(deps, intent) : intent.payment;
    if (payment.status === DECLINED) throw declined(payment.decline_reason);
    if (payment.status !== CAPTURED) throw declined(ABANDONED);
    const [wallet] = await deps.database.read(books.WALLET_OF, userId);
    return { wallet: wallet ?? books.NO_WALLET, replayed: intent.payment.status !== PENDING };
  });
}

async function charged(deps, intent) {
  try {
    const payment = await chargeCard(deps, intent);
    await settleIfCancelled(deps, payment);
    return payment;
  } catch (error) {
    throw error instanceof OutcomeUnknown ? inProgress() : error;
  }
}

async function recordIntent(deps, tx, wanted, token) {
  await books.requireKnown(tx, wanted.user_id);
  let found = await payments.findByKey(tx, wanted.key);
  requireBudget(deps, wanted, found);
  if (!found) {
    await requireRoom(tx, wanted);
    if (await payments.insert(tx, wanted, recoveryTime())) return { payment: wanted, token, firstTry: true };
    found = await payments.findByKey(tx, wanted.key);
  }
  if (!sameRequest(found, wanted)) throw keyReused();
  return await reopened(tx, found, token);
}

/** Checks that the wallet can take this currency and amount, together with every top-up under way. */
async function requireRoom(tx, { user_id: userId, amount, currency }) {
  let wallet = await books.wallet(tx, userId);
  const open = await payments.openTopUps(tx, userId);
  if (open.every((one) => one.currency === currency)) wallet = await books.claimCurrency(tx, userId, currency);
  if (wallet.currency !== currency) {
    throw new Refusal(status.FAILED_PRECONDITION, 'CURRENCY_MISMATCH', `this wallet holds ${wallet.currency}`);
  }
  const coming = open.reduce((sum, one) => sum + one.amount, amount);
  if (wallet.balance + coming + (await payments.spentFromWallet(tx, userId)) > MAX_MONEY) {
    throw invalid('amount', 'is more than the wallet can hold, together with what may be given back of orders paid from it');
  }
}

/** What may be shown behind a token; the refusal never repeats it, as it could be a card number. */
function faceOf(deps, token) {
  if (/\d{12,19}/.test(token.replace(/[\s.-]/g, ''))) {
    throw invalid('card_token', "a card number is never accepted; send the provider's token");
  }
  const face = deps.bank.faceOf(token);
  if (!face) throw invalid('card_token', 'is not a token of the card provider');
  return face;
}

const tooManyCards = () =>
  new Refusal(status.FAILED_PRECONDITION, 'TOO_MANY_CARDS', `an account has at most ${MOST_CARDS} saved cards`);
