// What is written to a buyer about each event, and who that buyer is.

import { filled, languageOf } from './language.js';
import { formatDate, formatMoney } from './money.js';
import { render } from './render.js';

/** By the event's type: the order's id, and the lines that its message makes; a mail about money is essential. */
export const TEMPLATES = {
  'shop.order.v1.OrderConfirmed': { ...aboutOrder(), essential: true },
  'shop.order.v1.OrderRejected': { ...aboutOrder(), essential: true },
  'shop.order.v1.OrderCancelled': { ...aboutOrder(), essential: true },
  'shop.order.v1.OrderShipped': { ...aboutOrder(), essential: false },
  'shop.payment.v1.PaymentRefunded': {
    id: ({ orderId }) => orderId,
    lines: ({ amount, refundedTotal, currency }, { texts, locale }) => [
      [texts.this_refund, formatMoney(BigInt(amount), currency, locale)],
      [texts.refunded_so_far, formatMoney(BigInt(refundedTotal), currency, locale)],
    ],
    essential: true,
  },
};

function aboutOrder() {
  return { id: ({ order }) => order.id, lines: ({ order }, language) => linesOf(order, language) };
}

/** The payload is no message of the event's type. */
export class UnreadablePayload extends Error {}

const NO_ORDER = { id: '', items: [], total: '0', currency: '' };

/** Reads events into drafts, { userId, essential, write(locale, name) }. */
export class Drafts {
  constructor(contracts) {
    this.type = contracts.type;
  }

  /** What to write about an event; undefined for a type without a template. Throws UnreadablePayload. */
  of(eventType, payload) {
    if (!Object.hasOwn(TEMPLATES, eventType)) return undefined;
    const message = this.#read(eventType, payload);
    if (!message.userId) throw new UnreadablePayload(`the ${eventType} names no user`);
    const event = { ...message, order: message.order ?? NO_ORDER };
    const { essential } = TEMPLATES[eventType];
    return { userId: message.userId, essential, write: (locale, name) => write(eventType, event, locale, name) };
  }

  #read(eventType, payload) {
    try {
      return this.type(eventType).deserialize(payload);
    } catch {
      throw new UnreadablePayload(`the payload is no ${eventType}`);
    }
  }
}

function write(eventType, event, locale, name) {
  const language = languageOf(locale);
  const { id, lines } = TEMPLATES[eventType];
  const { subject, opening, closing } = language.texts.mails[eventType];
  const { reasons } = language.texts;
  const reason = Object.hasOwn(reasons, event.reason ?? '') ? reasons[event.reason ?? ''] : reasons[''];
  return render(
    {
      subject: filled(subject, { order: id(event) }),
      opening: filled(opening, { reason }),
      lines: lines(event, language),
      closing,
    },
    language,
    name,
  );
}

function linesOf({ items, total, currency, createdAt }, { texts, locale }) {
  const line = ({ quantity, productId, price }) => [
    filled(texts.item, { quantity, product: productId }),
    formatMoney(BigInt(quantity) * BigInt(price), currency, locale),
  ];
  const orderedOn = createdAt ? [[texts.ordered_on, formatDate(Number(createdAt.seconds) * 1_000, locale)]] : [];
  return [...items.map(line), [texts.total, formatMoney(BigInt(total), currency, locale)], ...orderedOn];
}
