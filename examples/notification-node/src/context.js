// What surrounds the work of one call or event, wherever it awaits: its trace, and its deadline.

import { AsyncLocalStorage } from 'node:async_hooks';

const NOTHING = { traceparent: '', deadline: Infinity };
const storage = new AsyncLocalStorage();

/** What is being done: `traceparent`, empty where none was sent, and `deadline` in milliseconds since 1970. */
export const current = () => storage.getStore() ?? NOTHING;

/** Runs `work` with another trace, a nearer deadline, or both. */
export const within = ({ traceparent = current().traceparent, deadline = Infinity }, work) =>
  storage.run({ traceparent, deadline: Math.min(deadline, current().deadline) }, work);
