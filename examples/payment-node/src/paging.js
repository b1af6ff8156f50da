// Pages of a caller's list, with the tokens that the service in Python makes, so that a page may come from the one and
// the next from the other.

import { createHash } from 'node:crypto';
import { invalid } from './outcomes.js';

const DEFAULT_SIZE = 20;

/** The page that a request asks for. `name` is the request's full name, `kinds` the types of the sort key's parts. */
export function pageOf({ pageSize, pageToken }, name, caller, kinds) {
  const digest = createHash('sha256').update(`${name}\0${caller}\0`).digest().subarray(0, 12);
  const bound = digest.toString('base64url').padEnd(16, '=');
  const size = pageSize ?? DEFAULT_SIZE;
  if (size < 1 || size > 100) throw invalid('page_size', 'must be 1 to 100');
  return { size, bound, after: pageToken ? read(pageToken, bound, kinds) : undefined };
}

/** The rows to show of up to `size` + 1 found, and the token of the next page. */
export function cut({ size, bound }, found, keyOf) {
  if (found.length <= size) return [found, undefined];
  const shown = found.slice(0, size);
  return [shown, Buffer.from(JSON.stringify([bound, ...keyOf(shown.at(-1))])).toString('base64url')];
}

function read(token, bound, kinds) {
  let parts;
  try {
    parts = JSON.parse(Buffer.from(token, 'base64url').toString());
  } catch {
    throw garbage();
  }
  if (!Array.isArray(parts) || parts.length !== kinds.length + 1) throw garbage();
  const [list, ...after] = parts;
  if (!after.every((part, index) => typeof part === kinds[index] && !`${part}`.includes('\0'))) throw garbage();
  if (list !== bound) throw invalid('page_token', 'belongs to another list, filter, order or caller');
  return after;
}

const garbage = () => invalid('page_token', 'is not a page token of this system');
