// soukapi.v1.Process: what `souk ps` asks a process. Who may open the private socket may call.

import { chmod } from 'node:fs/promises';
import { Server, ServerCredentials } from '@grpc/grpc-js';
import { bind } from './listening.js';

const KEPT = 6;

/** Answers on the unix socket `path`; returns the server. `traffic` counts, `away()` tells of the registry. */
export async function controlling(path, contracts, settings, traffic, away) {
  const rate = new RequestRate(traffic);
  const getStatus = (call, answer) =>
    answer(null, {
      service: settings.service,
      instance: settings.instance,
      version: settings.version,
      pid: process.pid,
      uptime: { seconds: Math.trunc(process.uptime()), nanos: Math.trunc((process.uptime() % 1) * 1e9) },
      requestsServed: traffic.served,
      requestsInFlight: traffic.running,
      requestsPerSecond: rate.now(),
      registryAway: away(),
      residentBytes: process.memoryUsage.rss(),
    });
  const none = (call, answer) => answer(null, { breakers: [] });
  const server = new Server();
  server.addService(contracts.soukapi.v1.Process.service, { getStatus, listBreakers: none, setBreaker: none });
  await bind(server, `unix:${path}`, ServerCredentials.createInsecure());
  await chmod(path, 0o600);
  return server;
}

/** Requests per second, as of the last few. */
class RequestRate {
  #seen = [];

  constructor(traffic) {
    this.traffic = traffic;
    this.#look();
    setInterval(() => this.#look(), 1_000).unref();
  }

  now() {
    const [then, served] = this.#seen[0];
    return ((this.traffic.served - served) * 1_000) / Math.max(performance.now() - then, 1);
  }

  #look() {
    this.#seen = [...this.#seen, [performance.now(), this.traffic.served]].slice(-KEPT);
  }
}
