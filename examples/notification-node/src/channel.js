// Channels to other services: to the instances that the registry knows, or through the own sidecar of a mesh.

import { credentials, status } from '@grpc/grpc-js';

/** Options of every channel: services call each other directly, whatever proxy the environment names. */
export const CHANNEL = {
  'grpc.enable_http_proxy': 0,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
};

/** Nobody can say right now. */
export class NobodyThere extends Error {
  code = status.UNAVAILABLE;
}

/** The services that this process calls. With a `sidecar` all calls go there, and otherwise where `registry` says. */
export class Callees {
  #open = [];

  constructor(sidecar, registry) {
    Object.assign(this, { sidecar, registry });
  }

  /** The clients of one service; `Client` is its class of grpc-js. */
  of(service, Client) {
    const callee = this.sidecar
      ? new BehindSidecar(service, Client, this.sidecar)
      : new Discovered(service, Client, this.registry);
    this.#open.push(callee);
    return callee;
  }

  /** Ends the connections. */
  close() {
    for (const callee of this.#open) callee.close();
  }
}

/**
 * A service as the own sidecar knows it: by its name, as `:authority`. The sidecar finds an instance, limits, and tries
 * again by the policy of the mesh, so a call is made once here.
 */
class BehindSidecar {
  tries = 1;

  constructor(service, Client, sidecar) {
    this.client = new Client(sidecar, credentials.createInsecure(), { ...CHANNEL, 'grpc.default_authority': service });
  }

  next() {
    return this.client;
  }

  close() {
    this.client.close();
  }
}

/** The instances of a service, by turns. */
class Discovered {
  tries = 2;
  #clients = new Map();
  #turn = 0;

  constructor(service, Client, registry) {
    Object.assign(this, { service, Client });
    registry.watch(service, (instances) => this.#meet(instances));
  }

  /** The client of an instance; throws NobodyThere. */
  next() {
    const clients = [...this.#clients.values()];
    if (!clients.length) throw new NobodyThere(`no instance of ${this.service} is known`);
    return clients[this.#turn++ % clients.length];
  }

  close() {
    this.#meet([]);
  }

  #meet(instances) {
    const addresses = new Set(instances.map((instance) => instance.address));
    for (const [address, client] of this.#clients) {
      if (!addresses.has(address)) {
        this.#clients.delete(address);
        client.close(); // calls that run still end
      }
    }
    for (const address of addresses) {
      if (!this.#clients.has(address)) {
        this.#clients.set(address, new this.Client(address, credentials.createInsecure(), CHANNEL));
      }
    }
  }
}
