// Trace context as the W3C writes it in `traceparent` (Trace Context, Recommendation of 2021).
// A header that is not valid is treated as absent, as section 3.2.2 demands.

import { randomBytes } from 'node:crypto';

const HEADER = /^(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

/** The trace's id; undefined when the header is absent or not valid. */
export const traceId = (header) => read(header)?.traceId;

/** The `traceparent` of a new span under the one that `header` names, or of a new trace. */
export function childOf(header) {
  const parent = read(header) ?? { traceId: randomBytes(16).toString('hex'), sampled: true };
  return `00-${parent.traceId}-${randomBytes(8).toString('hex')}-${parent.sampled ? '01' : '00'}`;
}

function read(header) {
  const [, version, id, , flags, more] = HEADER.exec(header) ?? [];
  if (id === undefined || (version === '00' && more !== undefined)) return undefined;
  return { traceId: id, sampled: (parseInt(flags, 16) & 1) === 1 };
}
