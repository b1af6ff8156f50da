// The Notification service: everything that is its own is put together here.

import { join } from 'node:path';
import { EmlPostman } from './eml_postman.js';
import { eventSink } from './event_sink.js';
import { mailEvents } from './mail_event.js';
import { renderMessage } from './render_message.js';
import { Drafts } from './templates.js';
import { UserContacts } from './user_contacts.js';

const MAILS = 'mails';
const TEXTS = 'texts'; // text messages need a provider, which this example has none of
const MAILBOX = 'mailbox';

/** Builds the service on the platform that `process.js` gives. */
export async function build({ contracts, tokens, admission, callees, settings, log }) {
  const { shop, soukapi } = contracts;
  const contacts = new UserContacts(contracts, callees, tokens, admission.statuses);
  const drafts = new Drafts(contracts);
  const mails = mailEvents(drafts, contacts, new EmlPostman(join(settings.folder, MAILBOX)), log);
  const deliver = eventSink({ [MAILS]: mails, [TEXTS]: async () => {} }, log);
  return {
    serves: [
      [shop.notification.v1.NotificationService.service, { renderMessage: admission.internal(renderMessage(drafts)) }],
      [soukapi.v1.EventSink.service, { deliver: admission.internal(deliver) }],
    ],
  };
}
