// The registry that comes with Souk: soukapi.v1.Registry, on a unix socket or, with a secret, at a port.

import { Metadata } from '@grpc/grpc-js';
import { SILENCE, StandingStream } from './standing_stream.js';

const PATIENCE = 1_000;

/** Registers this process, and tells who else is there; `away` says why the registry cannot be reached. */
export class Registry {
  #streams = [];
  #told = new Metadata();

  constructor(client, secret, log) {
    Object.assign(this, { client, log });
    if (secret) this.#told.set('authorization', `Bearer ${secret}`);
  }

  get away() {
    return this.#streams.find((stream) => stream.away)?.away ?? '';
  }

  /** Keeps a place for `instance`; returns once the registry knows, or turns out to be away for now. */
  async register(instance) {
    const said = { instance, healthy: true };
    const open = () => {
      const call = this.client.register(this.#told);
      call.write(said);
      return call;
    };
    // The next message must come within the lease; a third of it leaves time for two more. The answers show
    // that the registry has not hung, so they must not be too rare.
    const heard = ({ lease }, call) => {
      const pause = Math.min(Number(lease.seconds) * 1_000 + lease.nanos / 1e6, SILENCE) / 3;
      const timer = setTimeout(() => call.write(said), pause).unref();
      call.once('status', () => clearTimeout(timer));
    };
    const stream = this.#keep('register', open, heard);
    await Promise.race([stream.known, new Promise((resolve) => setTimeout(resolve, PATIENCE))]);
  }

  /** Calls `told` with the instances of a service, at once and after each change. */
  watch(service, told) {
    const memory = new Memory();
    const open = () => this.client.watch({ service }, this.#told);
    this.#keep(`watch ${service}`, open, (answer) => told(memory.hear(answer)));
  }

  /** Leaves. */
  async close() {
    await Promise.all(this.#streams.map((stream) => stream.close()));
    this.client.close();
  }

  #keep(purpose, open, heard) {
    const stream = new StandingStream(purpose, open, heard, this.log);
    this.#streams.push(stream);
    return stream;
  }
}

/**
 * What is known of a service across the lives of a registry that forgets: until a new life has settled,
 * an instance that only the one before knew is kept.
 */
export class Memory {
  #life = '';
  #known = new Map();
  #unconfirmed = new Map();

  hear({ life, settled, instances }) {
    const heard = new Map(instances.map((instance) => [instance.id, instance]));
    if (life !== this.#life) {
      this.#life = life;
      this.#unconfirmed = this.#known;
    }
    this.#unconfirmed = new Map(settled ? [] : [...this.#unconfirmed].filter(([id]) => !heard.has(id)));
    this.#known = new Map([...this.#unconfirmed, ...heard]);
    return [...this.#known.values()];
  }
}
