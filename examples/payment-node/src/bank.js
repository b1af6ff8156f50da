// The card provider, over HTTP: a bank outside the system. It keeps keys for ever, so that a call that is repeated with
// its key is done once.

import { readFile } from 'node:fs/promises';
import http from 'node:http';
import https from 'node:https';

const NOTHING_WAS_DONE = new Set([
  'invalid_request', 'invalid_token', 'key_reused', 'not_found', 'not_refundable', 'provider_error', 'unauthorized',
]); // prettier-ignore
const CONNECTING = new Set(['ECONNREFUSED', 'ENOENT', 'EACCES', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH']);
const VERDICTS = new Set(['charged', 'declined', 'voided', 'processing']);
const REFUND_VERDICTS = new Set(['succeeded', 'pending', 'failed']);
/** What may be shown of the sandbox's cards, by their tokens. */
const FACES = {
  tok_visa: { brand: 'visa', last4: '4242' },
  tok_declined: { brand: 'visa', last4: '0002' },
  tok_insufficient_funds: { brand: 'visa', last4: '9995' },
  tok_slow: { brand: 'mastercard', last4: '4444' },
  tok_timeout: { brand: 'mastercard', last4: '5100' },
  tok_error: { brand: 'mastercard', last4: '0119' },
};

/** The bank was not reached, and did nothing. */
export class BankUnavailable extends Error {}
/** The bank answered that it did nothing. */
export class BankRefused extends BankUnavailable {}
/** No answer came: the bank may or may not have done it. Find out by the key. */
export class BankSilent extends Error {}
export const isTrouble = (error) => error instanceof BankUnavailable || error instanceof BankSilent;

/** The bank at `url`; a call without an answer after `timeout` milliseconds is given up. */
export class Bank {
  #key;

  constructor({ url, timeout, keyFile }) {
    Object.assign(this, { timeout, keyFile });
    const path = url.startsWith('unix:') && url.slice('unix:'.length);
    this.at = path ? { socketPath: path } : { ...urlParts(url) };
    this.transport = url.startsWith('https:') ? https : http;
  }

  /** The outcome of a charge, { verdict, reason }. */
  async charge(key, token, amount, currency) {
    return answerOf(await this.#send('POST', '/v1/charges', { source: token, amount, currency }, key));
  }

  /** The outcome of a charge; undefined for an unknown key, though a request may still be on its way. */
  async find(key) {
    const found = await this.#send('GET', `/v1/charges/${encodeURIComponent(key)}`);
    return found && answerOf(found);
  }

  /** Blocks a charge that has not happened yet, and gives its final outcome. */
  async void(key) {
    return answerOf(await this.#send('POST', `/v1/charges/${encodeURIComponent(key)}/void`));
  }

  /** Gives back an amount of a charge; "succeeded", "pending" or "failed". */
  async refund(key, chargeKey, amount) {
    return refundOf(await this.#send('POST', '/v1/refunds', { charge: chargeKey, amount }, key));
  }

  /** The outcome of a refund; undefined for an unknown key. */
  async findRefund(key) {
    const found = await this.#send('GET', `/v1/refunds/${encodeURIComponent(key)}`);
    return found && refundOf(found);
  }

  /** The brand and the last digits behind a token; undefined when it is none of the bank's. */
  faceOf(token) {
    return Object.hasOwn(FACES, token) ? FACES[token] : undefined;
  }

  async #send(method, path, body, key) {
    const headers = { ...(await this.#authorization()), ...(key && { 'Idempotency-Key': key }) };
    const content = body && JSON.stringify(body);
    if (content) headers['Content-Type'] = 'application/json';
    headers['Content-Length'] = content ? Buffer.byteLength(content) : 0;
    const [code, text] = await this.#request({ ...this.at, method, path, headers, agent: false }, content);
    if (code === 401) this.#key = undefined; // it may have been replaced
    return bodyOf(method, code, text);
  }

  #request(options, content) {
    return new Promise((resolve, reject) => {
      const request = this.transport.request({ ...options, signal: AbortSignal.timeout(this.timeout) }, (answer) => {
        const parts = [];
        answer.on('data', (part) => parts.push(part));
        answer.on('end', () => resolve([answer.statusCode, Buffer.concat(parts).toString()]));
        answer.on('error', () => reject(new BankSilent('the card provider did not answer')));
      });
      request.on('error', ({ code }) =>
        reject(
          CONNECTING.has(code)
            ? new BankUnavailable('the card provider cannot be reached')
            : new BankSilent('the card provider did not answer'),
        ),
      );
      request.end(content);
    });
  }

  async #authorization() {
    if (!this.keyFile) return {};
    this.#key ??= await readFile(this.keyFile, 'ascii').then((text) => text.trim(), () => undefined); // prettier-ignore
    if (!this.#key) throw new BankUnavailable('the API key of the card provider cannot be read');
    return { Authorization: `Bearer ${this.#key}` };
  }
}

function urlParts(url) {
  const { hostname, port } = new URL(url);
  return { hostname, ...(port && { port }) };
}

/** The body of an answer; undefined for "not found". An answer that is none of a bank's proves nothing. */
function bodyOf(method, code, text) {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    throw unreadable();
  }
  if (code === 200) return body;
  const why = body?.error?.code;
  if (method === 'GET' && code === 404 && why === 'not_found') return undefined;
  if (NOTHING_WAS_DONE.has(why)) throw new BankRefused(`the card provider refused: ${why}`);
  throw unreadable();
}

function answerOf({ status, reason } = {}) {
  if (!VERDICTS.has(status)) throw unreadable();
  return { verdict: status, reason: `${reason}` };
}

function refundOf({ status } = {}) {
  if (!REFUND_VERDICTS.has(status)) throw unreadable();
  return status;
}

const unreadable = () => new BankSilent('the card provider sent an answer that cannot be read');
