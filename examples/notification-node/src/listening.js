import { promisify } from 'node:util';

/** Binds a server of grpc-js to an address; returns its port. */
export function bind(server, address, credentials) {
  return promisify(server.bindAsync.bind(server))(address, credentials);
}

/** Takes no more calls; those that run may end within `grace` milliseconds. */
export async function drained(server, grace) {
  const timer = setTimeout(() => server.forceShutdown(), grace);
  await promisify(server.tryShutdown.bind(server))().catch(() => {});
  clearTimeout(timer);
}
