// The Payment service: everything that is its own is put together here.

import { randomUUID } from 'node:crypto';
import { eventSink } from '../../notification-node/src/event_sink.js';
import { ConfigurationError } from '../../notification-node/src/settings.js';
import { Bank } from './bank.js';
import { eraseCards, subjectLock } from './books.js';
import { Bus } from './bus.js';
import { caller } from './consumers.js';
import { Database } from './database.js';
import { FailingCards, KeyLocks } from './domain.js';
import { Outbox } from './outbox.js';
import { Relay } from './relay.js';
import { paymentService } from './servicer.js';
import { SERVICE } from './settings.js';
import { recoverForEver } from './settle.js';

const ERASE_CARDS = 'erase-cards';
const USER_DELETED = 'shop.user.v1.UserDeleted';

/** Builds the service on the platform that `process.js` gives. */
export async function build({ contracts, tokens, admission, callees, settings, log }) {
  const database = new Database(settings.postgres, settings.pool, log);
  await requireTables(database);
  const bus = new Bus(settings.bus, log);
  const outbox = new Outbox(SERVICE, contracts);
  const bank = new Bank(settings.bank);
  const deps = { database, bank, outbox, log, locks: new KeyLocks(), failures: new FailingCards() };
  const owner = `${settings.instance}-${randomUUID()}`;
  const published = (route) => route.types.some((type) => type.startsWith('shop.payment.'));
  const deliver = caller(contracts, callees, tokens);
  const relay = new Relay({ database, bus, routes: settings.routes.filter(published), deliver, owner, log });
  const stopping = new AbortController();
  const background = Promise.all([relay.run(), recoverForEver(deps, stopping.signal)]);
  const { shop, soukapi } = contracts;
  return {
    serves: [
      [shop.payment.v1.PaymentService.service, paymentService(deps, admission)],
      [soukapi.v1.EventSink.service, { deliver: admission.internal(eventSink({ [ERASE_CARDS]: erasing(deps, contracts) }, log)) }],
    ],
    close: async () => {
      stopping.abort();
      relay.close();
      await background;
      bus.close();
      await database.close();
    },
  };
}

/** Handles that an account was deleted. */
const erasing = ({ database }, contracts) => async ({ id, payload }) => {
  const { userId } = contracts.type(USER_DELETED).deserialize(payload);
  await database.run((tx) => eraseCards(tx, ERASE_CARDS, id, userId), [subjectLock(userId)]);
};

/** This service makes no tables: the one in Python has made them, in the version that is known here. */
async function requireTables(database) {
  try {
    await database.read('SELECT history, shared FROM payments LIMIT 0');
    await database.read('SELECT tracestate FROM souk_outbox LIMIT 0');
  } catch (error) {
    const { code, message } = error.cause ?? error;
    throw new ConfigurationError(`the database cannot be used (${code ?? message}); its tables are made by Payment in Python`);
  }
}
