// What surrounds the work of one call or event, wherever it awaits: its trace.

import { AsyncLocalStorage } from 'node:async_hooks';

const storage = new AsyncLocalStorage();

/** The `traceparent` of what is being done; empty where nothing was sent. */
export const traceparent = () => storage.getStore() ?? '';

/** Runs `work` as a part of the trace that `header` names. */
export const within = (header, work) => storage.run(header, work);
