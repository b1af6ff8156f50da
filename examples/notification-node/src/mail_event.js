// Writing to a buyer about an event.

import { UnreadablePayload } from './templates.js';

/** An event that can never be handled; the message says why. */
export class PoisonedEvent extends Error {}

/** The handler of events: brings a letter to the postman, unless the buyer is gone. */
export function mailEvents(drafts, contacts, postman, log) {
  return async (event) => {
    const { userId, essential, write } = draft(drafts, event);
    const contact = await contacts.find(userId);
    if (!contact) {
      log.info('nobody to write to: the account was deleted', { event_id: event.id });
      return;
    }
    if (contact.unsubscribed && !essential) {
      log.info('no mail: the reader has unsubscribed', { event_id: event.id });
      return;
    }
    const writtenAt = Number(event.time?.seconds ?? 0) * 1_000;
    await postman.take({ id: event.id, to: contact, message: write(contact.locale, contact.name), writtenAt });
    log.info('a letter is written', { event_id: event.id, event_type: event.type });
  };
}

function draft(drafts, event) {
  try {
    const found = drafts.of(event.type, event.payload);
    if (found) return found;
  } catch (error) {
    if (error instanceof UnreadablePayload) throw new PoisonedEvent(error.message);
    throw error;
  }
  throw new PoisonedEvent(`there is no template for ${event.type.slice(0, 200)}`);
}
