// The caller, as services tell each other: a short-lived token in the metadata `souk-caller`.
//
// base64url(JSON [subject, roles, scopes, service, expires in microseconds]) followed by the base64url
// of its HMAC-SHA256, both without padding; docs/decisions/0003 says why it is symmetric.

import { createHmac, timingSafeEqual } from 'node:crypto';

export const CALLER_KEY = 'souk-caller';
const LIFETIME = 120_000;
const MAC = 43; // base64 of 32 octets, without padding

/** Signs in the name of `service`, and verifies anybody's. */
export class CallerTokens {
  constructor(key, service, now = Date.now) {
    Object.assign(this, { key, service, now });
  }

  /** A token for a call that this service makes for itself. */
  sign() {
    const claims = ['', [], [], this.service, (this.now() + LIFETIME) * 1_000];
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return body + this.#mac(body);
  }

  /** The service that is calling; empty when the token is not ours, too old, or no service's. */
  verify(token) {
    const body = token.slice(0, -MAC);
    const given = Buffer.from(token.slice(-MAC));
    const right = Buffer.from(this.#mac(body));
    if (given.length !== right.length || !timingSafeEqual(given, right)) return '';
    const [, , , service, expires] = JSON.parse(Buffer.from(body, 'base64url'));
    return this.now() * 1_000 < expires ? service : '';
  }

  #mac(body) {
    return createHmac('sha256', this.key).update(body).digest('base64url');
  }
}
