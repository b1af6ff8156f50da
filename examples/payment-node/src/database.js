// PostgreSQL: transactions that run again when they collide, as docs/decisions/0002-isolation.md has them ("guarded").

import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { Undecided, status } from '../../notification-node/src/refusals.js';

/** SQL for the time by the database's clock, in microseconds since 1970. */
export const NOW = 'CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)';
const PATIENCE = 5_000; // milliseconds for a connection, for a lock, and for tries again
const LONGEST_PAUSE = 64;
const COLLISIONS = new Set(['40001', '40P01']);
const AWAY = /^(08|53|57|55P03|25006|E[A-Z]+$)/;
const INT8 = 20;

/** All numbers of this service are below 2^53: money, and microseconds. */
const types = { getTypeParser: (oid, format) => (oid === INT8 ? Number : pg.types.getTypeParser(oid, format)) };

/** The database of the service; its tables are made by the service in Python. */
export class Database {
  constructor(url, most, log) {
    this.pool = new pg.Pool({
      connectionString: url,
      max: most,
      types,
      connectionTimeoutMillis: PATIENCE,
      statement_timeout: PATIENCE,
      allowExitOnIdle: true,
    });
    this.pool.on('error', (error) => log.warning('a connection to the database broke', { code: error.code }));
  }

  /** Runs `work(tx)` and commits. It may run several times. `locks` are held by name, from before it begins to its end. */
  async run(work, locks = []) {
    const until = Date.now() + PATIENCE;
    for (let tries = 0; ; tries++) {
      try {
        return await this.#attempt(work, locks);
      } catch (error) {
        if (!COLLISIONS.has(error.code) || Date.now() > until) throw meaningOf(error);
        await pause(Math.random() * Math.min(2 ** tries, LONGEST_PAUSE));
      }
    }
  }

  /** Runs one statement that reads. */
  async read(sql, ...values) {
    try {
      return (await this.pool.query(sql, values)).rows;
    } catch (error) {
      throw meaningOf(error);
    }
  }

  close() {
    return this.pool.end();
  }

  async #attempt(work, locks) {
    const client = await this.pool.connect();
    let broken;
    try {
      for (const name of [...locks].sort()) {
        await client.query('SELECT pg_advisory_lock(hashtextextended($1, 0))', [name]);
      }
      await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
      const result = await work(new Transaction(client));
      await client.query('COMMIT');
      return result;
    } catch (error) {
      broken = await client.query('ROLLBACK').then(() => undefined, (why) => why);
      throw error;
    } finally {
      if (locks.length && !broken) {
        broken = await client.query('SELECT pg_advisory_unlock_all()').then(() => undefined, (why) => why);
      }
      client.release(broken);
    }
  }
}

class Transaction {
  constructor(client) {
    this.client = client;
  }

  /** The rows that a statement gives. */
  async all(sql, ...values) {
    return (await this.client.query(sql, values)).rows;
  }

  /** The first row, or undefined. */
  async one(sql, ...values) {
    return (await this.all(sql, ...values))[0];
  }

  /** How many rows a statement changed. */
  async run(sql, ...values) {
    return (await this.client.query(sql, values)).rowCount;
  }
}

/** Whoever calls learns that the database is away, and not whether anything was done. */
function meaningOf(error) {
  const away = AWAY.test(error.code ?? '') || COLLISIONS.has(error.code) || /timeout|terminated|ended/i.test(error.message);
  return !(error instanceof Undecided) && away && !error.reason ? new Undecided(status.UNAVAILABLE, '', error) : error;
}
