// The caller, as services tell each other: a short-lived token in the metadata `souk-caller`.
//
// base64url(JSON [subject, roles, scopes, service, audience, method, issued, expires, session, address]), times in
// microseconds, followed by the base64url of its HMAC-SHA256, both without padding; docs/decisions/0003 says why it
// is symmetric, 0027 whom it is for.

import { createHmac, timingSafeEqual } from 'node:crypto';

export const CALLER_KEY = 'souk-caller';
const LIFETIME = 30_000;
const TOLERANCE = 60_000; // by which the clocks of two processes may differ
const MAC = 43; // base64 of 32 octets, without padding

/** A token that does not prove who calls; the message says why. */
export class CallerTokenRefused extends Error {}

/** Signs in the name of `service`, and verifies what others sign for it. */
export class CallerTokens {
  constructor(key, service, now = Date.now) {
    Object.assign(this, { key, service, now });
  }

  /** A token for a call of `method`, a full name, that this service makes to `audience` for itself. */
  sign(audience, method) {
    const now = this.now() * 1_000;
    const claims = ['', [], [], this.service, audience, method, now, now + LIFETIME * 1_000, '', ''];
    const body = Buffer.from(JSON.stringify(claims)).toString('base64url');
    return body + this.#mac(body);
  }

  /** Who is calling `method` of this service: { service, subject, roles }. Throws CallerTokenRefused. */
  verify(token, method) {
    const body = token.slice(0, -MAC);
    const given = Buffer.from(token.slice(-MAC));
    const right = Buffer.from(this.#mac(body));
    if (given.length !== right.length || !timingSafeEqual(given, right)) {
      throw new CallerTokenRefused('the caller token is not signed with the secret of this installation');
    }
    const [subject, roles, , service, audience, its, issued, expires] = JSON.parse(Buffer.from(body, 'base64url'));
    if (audience !== this.service || its !== method) {
      throw new CallerTokenRefused(`the caller token is for ${its} of ${audience}`);
    }
    const now = this.now();
    if (issued / 1_000 - now > TOLERANCE) throw new CallerTokenRefused('the caller token was issued in the future');
    if (now - expires / 1_000 >= TOLERANCE) throw new CallerTokenRefused('the caller token has expired');
    return { service, subject, roles };
  }

  #mac(body) {
    return createHmac('sha256', this.key).update(body).digest('base64url');
  }
}
