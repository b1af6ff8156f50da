// What is written to a buyer about each event, and who that buyer is.

import { formatMoney } from './money.js';

const WHY_REJECTED = new Map([
  ['OUT_OF_STOCK', 'not every item is in stock'],
  ['PAYMENT_DECLINED', 'the payment was declined'],
  ['PRICE_CHANGED', 'the price of an item has changed'],
  ['ORDER_CANCELLED', 'the order was cancelled'],
]);

const UNSAID = 'the order could not be completed';

/** By the event's type: the content that its message makes. */
export const TEMPLATES = {
  'shop.order.v1.OrderConfirmed': ({ order }) => ({
    subject: `Your order ${order.id} is confirmed`,
    opening: 'Thank you for your order. Every item is in stock, and we will ship your order soon.',
    lines: linesOf(order),
    closing: 'You can cancel your order until it is shipped.',
  }),
  'shop.order.v1.OrderRejected': ({ order, reason }) => ({
    subject: `Your order ${order.id} could not be placed`,
    opening: `We are sorry: we could not accept your order, because ${WHY_REJECTED.get(reason) ?? UNSAID}.`,
    lines: linesOf(order),
    closing: 'If you were charged for this order, you will get a full refund.',
  }),
  'shop.order.v1.OrderCancelled': ({ order }) => ({
    subject: `Your order ${order.id} is cancelled`,
    opening: 'We have cancelled your order, as you asked.',
    lines: linesOf(order),
    closing: 'The money that you paid is on its way back to you.',
  }),
  'shop.order.v1.OrderShipped': ({ order }) => ({
    subject: `Your order ${order.id} is on its way`,
    opening: 'We have handed your order to the carrier.',
    lines: linesOf(order),
    closing: 'Enjoy your purchase!',
  }),
  'shop.payment.v1.PaymentRefunded': ({ orderId, amount, refundedTotal, currency }) => ({
    subject: `A refund for your order ${orderId}`,
    opening: 'We have refunded money to you for this order.',
    lines: [
      ['This refund', formatMoney(BigInt(amount), currency)],
      ['Total refunded so far', formatMoney(BigInt(refundedTotal), currency)],
    ],
    closing: 'It may take a few days until your bank shows the refund.',
  }),
};

/** The payload is no message of the event's type. */
export class UnreadablePayload extends Error {}

const NO_ORDER = { id: '', items: [], total: '0', currency: '' };

/** Reads events into drafts, { userId, content }. */
export class Drafts {
  constructor(contracts) {
    this.type = contracts.type;
  }

  /** What to write about an event; undefined for a type without a template. Throws UnreadablePayload. */
  of(eventType, payload) {
    if (!Object.hasOwn(TEMPLATES, eventType)) return undefined;
    const message = this.#read(eventType, payload);
    if (!message.userId) throw new UnreadablePayload(`the ${eventType} names no user`);
    return { userId: message.userId, content: TEMPLATES[eventType]({ ...message, order: message.order ?? NO_ORDER }) };
  }

  #read(eventType, payload) {
    try {
      return this.type(eventType).deserialize(payload);
    } catch {
      throw new UnreadablePayload(`the payload is no ${eventType}`);
    }
  }
}

function linesOf({ items, total, currency }) {
  const line = ({ quantity, productId, price }) => [
    `${quantity} x ${productId}`,
    formatMoney(BigInt(quantity) * BigInt(price), currency),
  ];
  return [...items.map(line), ['Total', formatMoney(BigInt(total), currency)]];
}
