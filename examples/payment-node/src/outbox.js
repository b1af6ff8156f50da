// The transactional outbox: an event commits together with the change that it reports, or not at all.

import { crc32 } from './crc32.js';
import { current } from '../../notification-node/src/context.js';
import { newId, now } from './domain.js';

export const PARTITIONS = 64;
export const CHANNEL = 'souk_outbox';

/** Writes events of the service `source`. */
export class Outbox {
  constructor(source, contracts) {
    Object.assign(this, { source, contracts });
  }

  /** Writes an event in `tx`; those of a key keep the order in which their transactions commit. */
  async publish(tx, key, type, message) {
    const payload = this.contracts.type(type).serialize(message);
    // Numbers are given before the commit: without the lock two events of a key could commit in the other order.
    await tx.run("SELECT pg_advisory_xact_lock(hashtextextended('souk_outbox:' || $1, 0))", key);
    await tx.run(
      `INSERT INTO souk_outbox (id, type, source, key, partition, time, payload, traceparent, tracestate)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, '')`,
      newId('EVT'), type, this.source, key, crc32(Buffer.from(key)) % PARTITIONS, now(), payload, current().traceparent,
    ); // prettier-ignore
    await tx.run("SELECT pg_notify($1, '')", CHANNEL);
  }
}
