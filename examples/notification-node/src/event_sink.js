// soukapi.v1.EventSink: hands events to their consumer, those of a key one by one and in order.
//
// A handler says how an event ended by how it returns: handled; PoisonedEvent: the relay parks it;
// something it needs is away: it is left out of the answer, and the relay sends it again, for ever; any
// other error: a bug, perhaps, so that it is sent again a few times.

import { status } from '@grpc/grpc-js';
import { current, within } from './context.js';
import { PoisonedEvent } from './mail_event.js';
import { Refusal, forbidden } from './refusals.js';

const AT_ONCE = 16;
const EVENT_TIME = 10_000;
const AWAY = new Set([
  status.UNAVAILABLE, status.DEADLINE_EXCEEDED, status.RESOURCE_EXHAUSTED, status.ABORTED, status.CANCELLED,
  'ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM',
]); // prettier-ignore

/** Deliver, for `consumers` by name. */
export function eventSink(consumers, log) {
  return async ({ consumer, events }, caller) => {
    if (!Object.hasOwn(consumers, consumer)) {
      throw new Refusal(status.NOT_FOUND, 'UNKNOWN_CONSUMER', `there is no consumer ${JSON.stringify(consumer)} here`);
    }
    if (events.some(({ source }) => source !== caller)) throw forbidden(`${caller} may deliver its own events alone`);
    const results = new Map();
    const waiting = [...byKey(events).values()];
    const work = async () => {
      for (let next; (next = waiting.shift()); ) await inOrder(consumers[consumer], next, results, log);
    };
    await Promise.all(Array.from({ length: AT_ONCE }, work));
    return { results: events.map(({ id }) => results.get(id)).filter(Boolean) };
  };
}

function byKey(events) {
  const keys = new Map();
  for (const event of events) keys.set(event.key, [...(keys.get(event.key) ?? []), event]);
  return keys;
}

async function inOrder(handler, events, results, log) {
  for (const event of events) {
    // What was handled must be acknowledged: nothing more is begun that might not end in time.
    if (results.size && current().deadline - Date.now() < EVENT_TIME) return;
    const its = { traceparent: event.traceparent, deadline: Date.now() + EVENT_TIME };
    const result = await within(its, () => handle(handler, event, log));
    if (!result) return;
    results.set(event.id, { eventId: event.id, ...result });
    if (result.failure) return;
  }
}

/** How the event ended; undefined when it is to be sent again however often that takes. */
async function handle(handler, event, log) {
  const about = { event_id: event.id, event_type: event.type };
  try {
    await handler(event);
    return {};
  } catch (error) {
    if (error instanceof PoisonedEvent) return { poison: error.message };
    const named = { ...about, error: error.name, code: error.code };
    if (AWAY.has(error.code)) {
      log.warning('an event is postponed', named);
      return undefined;
    }
    log.error('a consumer failed', { ...named, exception: stackOf(error) });
    return { failure: error.name };
  }
}

/** Where an error happened, without its text, which may quote what nobody should read. */
const stackOf = (error) => (error.stack ?? '').split('\n').filter((line) => /^ +at /.test(line)).join('\n');
