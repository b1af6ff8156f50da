// Logs: one JSON object a line on standard error, as every process of a fleet writes them. Messages,
// addresses and tokens are never logged; an error goes by its name and its code.

import { current } from './context.js';
import { traceId } from './traces.js';

const LEVELS = ['debug', 'info', 'warning', 'error'];

/** A log of what is at least as important as `least`, with a method for each level; `part` is the service. */
export function logTo(stream, least, part = 'notification') {
  const write = (level) => (event, values = {}) => {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(least)) return;
    const trace_id = traceId(current().traceparent); // left out where there is none
    const timestamp = new Date().toISOString();
    stream.write(`${JSON.stringify({ part, ...values, event, level, trace_id, timestamp })}\n`);
  };
  return Object.fromEntries(LEVELS.map((level) => [level, write(level)]));
}
