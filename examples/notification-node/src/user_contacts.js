// Contacts from the User service, wherever it runs. A contact is asked for each time and never kept.

import { Metadata, credentials, status } from '@grpc/grpc-js';
import { CALLER_KEY } from './caller_tokens.js';
import { CHANNEL } from './channel.js';
import { current } from './context.js';
import { childOf } from './traces.js';

const USER_NOT_FOUND = 'USER_NOT_FOUND';
const TIME = 2_000; // as the contract has it
const TRIES = 2; // the method has no side effects, so another instance may be asked

/** Nobody can say right now. */
export class NobodyThere extends Error {
  code = status.UNAVAILABLE;
}

/** Knows how to reach buyers. `registry` tells where User is. */
export class UserContacts {
  #clients = new Map();
  #turn = 0;

  constructor(contracts, registry, tokens, statuses) {
    Object.assign(this, { Client: contracts.shop.user.v1.UserService, tokens, statuses });
    registry.watch('user', (instances) => this.#meet(instances));
  }

  /** How to reach a user, { email, name, locale, unsubscribed }; undefined for one who was erased. Throws when nobody can say. */
  async find(userId) {
    const deadline = Math.min(Date.now() + TIME, current().deadline);
    for (let left = TRIES; ; left--) {
      try {
        return await this.#ask(userId, deadline);
      } catch (error) {
        if (this.statuses.reasonOf(error) === USER_NOT_FOUND) return undefined;
        if (error.code !== status.UNAVAILABLE || left === 1) throw error;
      }
    }
  }

  /** Ends the connections. */
  close() {
    this.#meet([]);
  }

  #ask(userId, deadline) {
    const clients = [...this.#clients.values()];
    if (!clients.length) throw new NobodyThere('no instance of user is known');
    const client = clients[this.#turn++ % clients.length];
    const metadata = new Metadata();
    metadata.set(CALLER_KEY, this.tokens.sign('user', this.Client.service.GetContact.path));
    metadata.set('traceparent', childOf(current().traceparent));
    return new Promise((resolve, reject) => {
      const ended = (error, contact) => (error ? reject(error) : resolve(contact));
      client.getContact({ userId }, metadata, { deadline }, ended);
    });
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
