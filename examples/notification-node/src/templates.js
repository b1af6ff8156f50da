// What is written to a buyer about each event, and who that buyer is.

import { formatMoney } from './money.js';

const WHY_REJECTED = new Map([
  ['OUT_OF_STOCK', 'something in it is sold out'],
  ['PAYMENT_DECLINED', 'the payment was declined'],
  ['PRICE_CHANGED', 'a price has changed'],
  ['ORDER_CANCELLED', 'it was cancelled'],
]);

const UNSAID = 'it could not be completed';

/** By the event's type: the content that its message makes. */
export const TEMPLATES = {
  'shop.order.v1.OrderConfirmed': ({ order }) => ({
    subject: `Your order ${order.id} is confirmed`,
    opening: 'Thank you for your order. We have it all in stock and will ship it soon.',
    lines: linesOf(order),
    closing: 'You can cancel the order until it ships.',
  }),
  'shop.order.v1.OrderRejected': ({ order, reason }) => ({
    subject: `Your order ${order.id} could not be placed`,
    opening: `We are sorry: we could not accept your order, because ${WHY_REJECTED.get(reason) ?? UNSAID}.`,
    lines: linesOf(order),
    closing: 'Whatever was charged for it is given back in full.',
  }),
  'shop.order.v1.OrderCancelled': ({ order }) => ({
    subject: `Your order ${order.id} is cancelled`,
    opening: 'We have cancelled your order as you asked.',
    lines: linesOf(order),
    closing: 'What you paid is on its way back to you.',
  }),
  'shop.order.v1.OrderShipped': ({ order }) => ({
    subject: `Your order ${order.id} is on its way`,
    opening: 'We have handed your order to the carrier.',
    lines: linesOf(order),
    closing: 'Enjoy it!',
  }),
  'shop.payment.v1.PaymentRefunded': ({ orderId, amount, refundedTotal, currency }) => ({
    subject: `A refund for your order ${orderId}`,
    opening: 'We have given money back to you.',
    lines: [
      ['This refund', formatMoney(BigInt(amount), currency)],
      ['Refunded in all', formatMoney(BigInt(refundedTotal), currency)],
    ],
    closing: 'It may take your bank a few days to show it.',
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
