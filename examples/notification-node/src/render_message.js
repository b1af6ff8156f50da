// Showing a message without sending it.

import { status } from '@grpc/grpc-js';
import { Refusal, invalidArgument } from './refusals.js';
import { UnreadablePayload } from './templates.js';

/** RenderMessage. */
export function renderMessage(drafts) {
  return async ({ eventType, payload, name, locale }) => draft(drafts, eventType, payload).write(locale, name);
}

function draft(drafts, eventType, payload) {
  try {
    const found = drafts.of(eventType, payload);
    if (found) return found;
  } catch (error) {
    if (error instanceof UnreadablePayload) throw invalidArgument('payload', error.message);
    throw error;
  }
  const shown = JSON.stringify(eventType.slice(0, 200));
  throw new Refusal(status.NOT_FOUND, 'UNKNOWN_TEMPLATE', `there is no template for ${shown}`);
}
