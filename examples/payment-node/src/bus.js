// The bus of a fleet: streams of a Redis or Valkey server, with events as CloudEvents in binary mode.

import { createClient } from '@redis/client';
import { crc32 } from './crc32.js';

const STREAMS = 16;
const PATIENCE = 5_000;
const TYPE = 'application/protobuf';

/** Publishes to the server that listens on a socket. The streams' groups are declared by those who consume. */
export class Bus {
  constructor(path, log) {
    const socket = { path, connectTimeout: PATIENCE, reconnectStrategy: (tries) => Math.min(50 * 2 ** tries, 1_000) };
    this.client = createClient({ socket, disableOfflineQueue: true });
    this.client.on('error', (error) => log.warning('the bus is away', { error: error.name, code: error.code }));
    this.client.connect().catch(() => {}); // it is tried again, and each failure is logged
  }

  /** Adds events, one after the other; gives the ids of those that are stored. */
  async handOver(events) {
    const stored = new Set();
    for (const event of events) {
      const stream = `{${topicOf(event.type)}}:${crc32(Buffer.from(event.key)) % STREAMS}`;
      const words = Object.entries(attributesOf(event)).filter(([, value]) => value);
      try {
        await this.client.sendCommand(['XADD', stream, '*', ...words.flat(), 'data', event.payload]);
      } catch (error) {
        if (stored.size) break; // what is stored is recorded; the rest comes again, in order
        throw error;
      }
      stored.add(event.id);
    }
    return stored;
  }

  close() {
    this.client.destroy();
  }
}

/** The package of a type, without a version. */
const topicOf = (type) => type.slice(0, type.lastIndexOf('.')).replace(/\.v\d+\w*$/, '');

function attributesOf({ id, source, type, key, time, traceparent, tracestate }) {
  return {
    specversion: '1.0',
    id,
    source,
    type,
    datacontenttype: TYPE,
    dataschema: type,
    subject: key,
    partitionkey: key,
    time: `${new Date(Math.trunc(time / 1_000)).toISOString().slice(0, -1)}${String(time % 1_000).padStart(3, '0')}Z`,
    traceparent,
    tracestate,
  };
}
