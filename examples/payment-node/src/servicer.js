// shop.payment.v1.PaymentService: who may call which method, requests in, use cases, messages out.

import { Refusal, forbidden, status } from '../../notification-node/src/refusals.js';
import * as books from './books.js';
import { cancelCharge, chargeOrder } from './charge.js';
import { MAX_MONEY } from './domain.js';
import { refundCharge, refundPayment } from './give_back.js';
import { invalid, paymentNotFound } from './outcomes.js';
import { cut, pageOf } from './paging.js';
import * as payments from './payments.js';
import { forgetCard, resolveMethod, saveCard, topUpWallet } from './wallets_and_cards.js';

const SECOND = 1_000_000;

/** Handlers of all methods for grpc-js. */
export function paymentService(deps, admission) {
  const serves = (check, work) => admission.method(check, work);
  return {
    getWallet: serves(buyers, async (_, { subject }) => (await deps.database.read(books.WALLET_OF, subject))[0] ?? books.NO_WALLET),
    topUpWallet: serves(buyers, async (request, { subject }, trailer) => {
      const wanted = { userId: subject, key: keyIn(request, 'idempotencyKey', 'idempotency_key'), ...moneyIn(request) };
      const done = await topUpWallet(deps, { ...wanted, token: ascii(request.cardToken, 'card_token', 255) });
      return marked(trailer, done.replayed, done.wallet);
    }),
    listPaymentMethods: serves(buyers, (request, { subject }) => listCards(deps, request, subject)),
    createPaymentMethod: serves(buyers, async (request, { subject }) =>
      methodOf(await saveCard(deps, subject, ascii(request.cardToken, 'card_token', 255), request.isDefault ?? false)),
    ),
    deletePaymentMethod: serves(buyers, async ({ id }, { subject }) => {
      await forgetCard(deps, subject, id);
      return {};
    }),
    listPayments: serves(buyers, (request, { subject }) => listPayments(deps, request, subject)),
    getPayment: serves(buyers, async ({ id }, { subject }) => {
      const found = await payments.get(deps.database, id, subject);
      if (!found) throw paymentNotFound();
      return messageOf(found);
    }),
    refundPayment: serves(admins, async (request, { subject }, trailer) => {
      const reason = words(request.reason, 'reason');
      const key = keyIn(request, 'idempotencyKey', 'idempotency_key');
      const wanted = { caller: subject, key, id: request.id, amount: amountIn(request), reason };
      const { payment, replayed } = await refundPayment(deps, wanted);
      return marked(trailer, replayed, messageOf(payment));
    }),
    ...forOrder(deps, serves),
  };
}

function forOrder(deps, serves) {
  const ofUser = (caller, request) => {
    order(caller);
    if (request.userId !== caller.subject) throw forbidden(`'${caller.service}' may not act for another user than the one who asks`);
  };
  return {
    resolveMethod: serves(ofUser, async ({ userId, paymentMethod }) => {
      const card = await resolveMethod(deps, userId, paymentMethod);
      return card ? { card: { paymentMethodId: card } } : { wallet: {} };
    }),
    charge: serves(ofUser, async (request) => {
      const { card, wallet } = request.source ?? {};
      if (!card && !wallet) throw invalid('source', 'must be a card or the wallet');
      if (card && !card.paymentMethodId) throw invalid('source.card.payment_method_id', 'must name a saved card');
      const { orderId, userId } = request;
      const wanted = { key: keyIn(request, 'key'), orderId, userId, cardId: card?.paymentMethodId ?? '', ...moneyIn(request) };
      return resultOf(await chargeOrder(deps, wanted));
    }),
    cancelCharge: serves(order, async (request) => {
      const done = await cancelCharge(deps, { key: keyIn(request, 'key'), orderId: request.orderId });
      return { status: statusOf(done.status), settled: done.settled };
    }),
    listOrderCharges: serves(order, async ({ after, minAgeSeconds, pageSize }) => {
      const found = await payments.standing(deps.database, after, minAgeSeconds * SECOND, pageSize ?? 20);
      return { charges: found.map(({ id, key, order_id: orderId }) => ({ paymentId: id, key, orderId })) };
    }),
    refundCharge: serves(order, async (request) => {
      const { paymentId } = request;
      return resultOf(await refundCharge(deps, { key: keyIn(request, 'key'), paymentId, reason: words(request.reason, 'reason') }));
    }),
    prepareCharge: serves(ofUser, noTwoPhaseCommit),
    commitPrepared: serves(order, noTwoPhaseCommit),
    rollBackPrepared: serves(order, noTwoPhaseCommit),
  };
}

async function noTwoPhaseCommit() {
  const why = 'Payment in Node takes no prepared transactions';
  throw new Refusal(status.FAILED_PRECONDITION, 'TWO_PHASE_COMMIT_UNAVAILABLE', why);
}

async function listPayments(deps, request, userId) {
  const page = pageOf(request, 'shop.payment.v1.ListPaymentsRequest', userId, ['string']);
  const found = await payments.page(deps.database, userId, page.after?.[0], page.size + 1);
  const [shown, nextPageToken] = cut(page, found, ({ id }) => [id]);
  return { payments: shown.map(messageOf), nextPageToken };
}

async function listCards(deps, request, userId) {
  const page = pageOf(request, 'shop.payment.v1.ListPaymentMethodsRequest', userId, ['number', 'string']);
  const found = await deps.database.read(books.CARDS_AFTER, userId, ...(page.after ?? [-1, '']), page.size + 1);
  const [shown, nextPageToken] = cut(page, found, (card) => [card.is_default ? 0 : 1, card.id]);
  return { paymentMethods: shown.map(methodOf), nextPageToken };
}

function buyers({ subject, service }) {
  const why = service ? 'this call needs a valid bearer token' : 'only services may call this';
  if (!subject) throw new Refusal(status.UNAUTHENTICATED, 'UNAUTHENTICATED', why);
}

function admins(caller) {
  buyers(caller);
  if (!caller.roles.includes('admin')) throw forbidden('the caller may not do this');
}

function order({ service }) {
  if (service !== 'order') throw forbidden(`the contract does not name '${service}' among those who may call this`);
}

function marked(trailer, replayed, reply) {
  if (replayed) trailer.set('idempotent-replayed', 'true');
  return reply;
}

const keyIn = (request, name, field = name) => ascii(request[name], field, 255);
const moneyIn = (request) => ({ amount: amountIn(request), currency: currencyIn(request) });

function amountIn({ amount }) {
  const value = Number(amount);
  if (!Number.isSafeInteger(value) || value < 1) throw invalid('amount', `must be 1 to ${MAX_MONEY}`);
  return value;
}

function currencyIn({ currency }) {
  if (!/^[A-Z]{3}$/.test(currency)) throw invalid('currency', 'must be a currency of ISO 4217');
  return currency;
}

function ascii(text, field, most) {
  if (!/^[\x20-\x7e]+$/.test(text) || text.length > most) throw invalid(field, `must be 1 to ${most} printable ASCII characters`);
  return text;
}

function words(text, field) {
  if (!text || [...text].length > 200) throw invalid(field, 'must be 1 to 200 characters');
  return text;
}

const statusOf = (name) => `PAYMENT_STATUS_${name ?? 'UNSPECIFIED'}`;
const resultOf = (payment) => ({ paymentId: payment.id, status: statusOf(payment.status) });
const methodOf = ({ id, brand, last4, is_default: isDefault }) => ({ id, brand, last4, isDefault });

function messageOf(payment) {
  const { id, order_id: orderId, amount, currency, method, refunded, created_at: at } = payment;
  const createdAt = { seconds: Math.trunc(at / SECOND), nanos: (at % SECOND) * 1_000 };
  return { id, orderId, amount, currency, method, status: statusOf(payment.status), refunded, createdAt };
}
