// Contacts from the User service, wherever it runs. A contact is asked for each time and never kept.

import { Metadata, status } from '@grpc/grpc-js';
import { CALLER_KEY } from './caller_tokens.js';
import { current } from './context.js';
import { childOf } from './traces.js';

const USER_NOT_FOUND = 'USER_NOT_FOUND';
const TIME = 2_000; // as the contract has it

/** Knows how to reach buyers. */
export class UserContacts {
  constructor(contracts, callees, tokens, statuses) {
    this.method = contracts.shop.user.v1.UserService.service.GetContact.path;
    this.users = callees.of('user', contracts.shop.user.v1.UserService);
    Object.assign(this, { tokens, statuses });
  }

  /** How to reach a user, { email, name, locale, unsubscribed }; undefined for one who was erased. Throws when nobody can say. */
  async find(userId) {
    const deadline = Math.min(Date.now() + TIME, current().deadline);
    // The method has no side effects, so another instance may be asked.
    for (let left = this.users.tries; ; left--) {
      try {
        return await this.#ask(userId, deadline);
      } catch (error) {
        if (this.statuses.reasonOf(error) === USER_NOT_FOUND) return undefined;
        if (error.code !== status.UNAVAILABLE || left === 1) throw error;
      }
    }
  }

  #ask(userId, deadline) {
    const client = this.users.next();
    const metadata = new Metadata();
    metadata.set(CALLER_KEY, this.tokens.sign('user', this.method));
    metadata.set('traceparent', childOf(current().traceparent));
    return new Promise((resolve, reject) => {
      const ended = (error, contact) => (error ? reject(error) : resolve(contact));
      client.getContact({ userId }, metadata, { deadline }, ended);
    });
  }
}
