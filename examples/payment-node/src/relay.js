// The relay: takes events from the outbox to the bus, and to consumers that are called. It shares the partitions with
// the relays in Python on the same database, by the same leases, so that each event is delivered by one of them at a
// time, and those of a key in order. Times are by the database's clock.

import { setTimeout as pause } from 'node:timers/promises';
import { NOW } from './database.js';
import { PARTITIONS } from './outbox.js';

const LEASE = 10_000_000; // microseconds
const RENEWAL = 3_000;
const POLL = 500;
const BATCH = 100;
const MOST_FAILURES = 5;
const BUS = 'broker/all';
const EVENT =
  'o.seq, o.id, o.type, o.source, o.key, o.partition, o.time, COALESCE(d.payload, o.payload) AS payload, o.traceparent, o.tracestate';

/**
 * Relays for `owner`, a name of this run of this process. `routes` are consumers that are called, and
 * `deliver(route, events)` gives their results; `bus` gets every event.
 */
export class Relay {
  #held = new Map();
  #until = 0;
  #sending = new Map();

  constructor({ database, bus, routes, deliver, owner, log }) {
    Object.assign(this, { database, bus, routes, deliver, owner, log });
    this.stopping = new AbortController();
  }

  /** Relays until `close`. */
  async run() {
    const { signal } = this.stopping;
    const destinations = [
      { name: BUS, types: undefined, send: async (events) => resultsOf(await this.bus.handOver(events)) },
      ...this.routes.map((route) => ({ ...route, send: (events) => this.deliver(route, events) })),
    ];
    await Promise.all([
      again(signal, RENEWAL, () => this.#attempt('leases', () => this.#renew())),
      again(signal, POLL, () => this.#attempt('routing', () => this.#route(destinations))),
      ...destinations.map((to) => again(signal, POLL, () => this.#attempt(to.name, () => this.#deliverSome(to)))),
    ]);
    await this.#attempt('leases', () => this.#release());
  }

  /** Ends it; what was being sent is sent again by whoever takes the leases. */
  close() {
    this.stopping.abort();
  }

  async #attempt(what, work) {
    try {
      await work();
    } catch (error) {
      this.log.warning('the relay waits', { what, error: error.name, code: error.code });
    }
  }

  get #partitions() {
    return performance.now() < this.#until ? [...this.#held.keys()] : [];
  }

  async #renew() {
    const asked = performance.now();
    const found = await this.database.run(async (tx) => {
      await tx.run(`DELETE FROM souk_outbox_relay WHERE until < ${NOW}`);
      await tx.run(
        `INSERT INTO souk_outbox_relay (owner, until) VALUES ($1, ${NOW} + CAST($2 AS BIGINT))
         ON CONFLICT (owner) DO UPDATE SET until = excluded.until`,
        this.owner, LEASE,
      ); // prettier-ignore
      const alive = await tx.all('SELECT owner FROM souk_outbox_relay');
      const share = Math.ceil(PARTITIONS / alive.length);
      const kept = await tx.all(
        `UPDATE souk_outbox_lease SET until = ${NOW} + CAST($2 AS BIGINT) WHERE owner = $1 RETURNING partition, epoch`,
        this.owner, LEASE,
      ); // prettier-ignore
      await tx.run(
        `INSERT INTO souk_outbox_lease (partition, owner, epoch, until)
         SELECT number, '', 0, 0 FROM generate_series(0, ${PARTITIONS - 1}) AS number
         WHERE NOT EXISTS (SELECT 1 FROM souk_outbox_lease)`,
      );
      const taken = await tx.all(
        `UPDATE souk_outbox_lease SET owner = $1, epoch = epoch + 1, until = ${NOW} + CAST($2 AS BIGINT)
         WHERE partition IN (
           SELECT partition FROM souk_outbox_lease WHERE until < ${NOW} ORDER BY partition LIMIT $3
         ) RETURNING partition, epoch`,
        this.owner, LEASE, Math.max(share - kept.length, 0),
      ); // prettier-ignore
      return { leases: [...kept, ...taken], share };
    }, ['souk_outbox_lease']); // prettier-ignore
    this.#held = new Map(found.leases.map(({ partition, epoch }) => [partition, epoch]));
    this.#until = asked + LEASE / 1_000;
    await this.#giveUp(found.leases.length - found.share);
  }

  /** Gives partitions up to relays that have come since; those of events that are being sent stay, to keep their order. */
  async #giveUp(surplus) {
    const busy = new Set([...this.#sending.values()].flat());
    const partitions = [...this.#held.keys()].filter((one) => !busy.has(one)).slice(0, Math.max(surplus, 0));
    if (!partitions.length) return;
    for (const partition of partitions) this.#held.delete(partition);
    const sql = "UPDATE souk_outbox_lease SET owner = '', until = 0 WHERE owner = $1 AND partition = ANY($2::bigint[])";
    await this.database.run((tx) => tx.run(sql, this.owner, partitions));
  }

  #release() {
    this.#held.clear();
    return this.database.run(async (tx) => {
      await tx.run("UPDATE souk_outbox_lease SET owner = '', until = 0 WHERE owner = $1", this.owner);
      await tx.run('DELETE FROM souk_outbox_relay WHERE owner = $1', this.owner);
    });
  }

  /** Makes one pending delivery for each new event and destination. */
  async #route(destinations) {
    const held = this.#partitions;
    if (!held.length) return;
    const sql = `
      SELECT seq, partition, type FROM souk_outbox WHERE NOT routed AND partition = ANY($1::bigint[]) ORDER BY seq LIMIT 500`;
    const events = await this.database.read(sql, held);
    if (!events.length) return;
    await this.database.run(async (tx) => {
      for (const { seq, partition, type } of events) {
        for (const { name, types } of destinations) {
          if (types && !types.includes(type)) continue;
          await tx.run(
            `INSERT INTO souk_outbox_delivery (seq, consumer, partition, changed_at) VALUES ($1, $2, $3, ${NOW})
             ON CONFLICT (seq, consumer) DO NOTHING`,
            seq, name, partition,
          ); // prettier-ignore
        }
      }
      await tx.run('UPDATE souk_outbox SET routed = TRUE WHERE seq = ANY($1::bigint[])', events.map(({ seq }) => seq));
    });
  }

  async #deliverSome({ name, send }) {
    const epochs = new Map(this.#held);
    const held = this.#partitions;
    if (!held.length) return;
    const sql = `
      SELECT d.failures, ${EVENT} FROM souk_outbox_delivery d JOIN souk_outbox o ON o.seq = d.seq
      WHERE d.consumer = $1 AND d.state = 'pending' AND d.partition = ANY($2::bigint[]) ORDER BY d.seq LIMIT ${BATCH}`;
    const batch = await this.database.read(sql, name, held);
    if (!batch.length) return;
    this.#sending.set(name, batch.map(({ partition }) => partition));
    try {
      const results = await send(batch);
      await this.database.run((tx) => this.#record(tx, name, batch, results, epochs));
    } finally {
      this.#sending.delete(name);
    }
  }

  /** Records how events ended, but for those whose partition another relay has taken meanwhile. */
  async #record(tx, consumer, batch, results, epochs) {
    const partitions = [...new Set(batch.map(({ partition }) => partition))];
    const leases = await tx.all(
      `SELECT partition, epoch FROM souk_outbox_lease WHERE owner = $1 AND partition = ANY($2::bigint[])
       ORDER BY partition FOR UPDATE`,
      this.owner, partitions,
    ); // prettier-ignore
    const ours = new Set(leases.filter(({ partition, epoch }) => epochs.get(partition) === epoch).map((one) => one.partition));
    for (const { seq, id, partition, failures } of batch) {
      const result = results.get(id);
      if (!result || !ours.has(partition)) continue;
      const why = result.poison || result.failure || '';
      const state = result.poison || (why && failures + 1 >= MOST_FAILURES) ? 'parked' : why ? 'pending' : 'delivered';
      await tx.run(
        `UPDATE souk_outbox_delivery SET changed_at = ${NOW}, state = $3, failures = failures + $4, reason = $5
         WHERE consumer = $1 AND seq = $2 AND state = 'pending'`,
        consumer, seq, state, why ? 1 : 0, why,
      ); // prettier-ignore
    }
  }
}

const resultsOf = (ids) => new Map([...ids].map((id) => [id, {}]));

async function again(signal, every, work) {
  while (!signal.aborted) {
    await work();
    await pause(every, undefined, { signal }).catch(() => {});
  }
}
