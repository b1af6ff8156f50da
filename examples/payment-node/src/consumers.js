// Consumers that are called with their events, by soukapi.v1.EventSink.

import { CALLER_KEY } from '../../notification-node/src/caller_tokens.js';
import { Metadata } from '../../notification-node/src/refusals.js';

const TIME = 30_000;

/** Gives `deliver(route, events)`, which calls a consumer's service and gives the results by the ids of the events. */
export function caller(contracts, callees, tokens) {
  const Client = contracts.soukapi.v1.EventSink;
  const method = Client.service.Deliver.path;
  const services = new Map();
  return async ({ service, consumer }, events) => {
    if (!services.has(service)) services.set(service, callees.of(service, Client));
    const client = services.get(service).next();
    const metadata = new Metadata();
    metadata.set(CALLER_KEY, tokens.sign(service, method));
    const request = { consumer, events: events.map(messageOf) };
    const answer = await new Promise((resolve, reject) => {
      const ended = (error, reply) => (error ? reject(error) : resolve(reply));
      client.deliver(request, metadata, { deadline: Date.now() + TIME }, ended);
    });
    return new Map(answer.results.map((result) => [result.eventId, result]));
  };
}

function messageOf({ id, type, source, key, time, payload, traceparent, tracestate }) {
  const at = { seconds: Math.trunc(time / 1_000_000), nanos: (time % 1_000_000) * 1_000 };
  return { id, type, source, key, time: at, payload, traceparent, tracestate };
}
