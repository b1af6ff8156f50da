// A service as a process of a fleet: what all services in Node have in common is put together here.

import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { Admission } from './admission.js';
import { CallerTokens } from './caller_tokens.js';
import { CHANNEL, Callees } from './channel.js';
import { loadContracts } from './contracts.js';
import { controlling } from './control.js';
import { bind, drained } from './listening.js';
import { logTo } from './logs.js';
import { Statuses } from './refusals.js';
import { Registry } from './registry.js';

const LEAVING = 300; // milliseconds without a new call, after it has left: callers learn late
const LONGEST_LEAVING = 3_000;

/**
 * Runs a process of a service: prints `ready NAME ADDRESS` once it takes calls, and ends with status 0 on SIGTERM.
 * `read(environment)` gives the settings, and `build` what `serve` says.
 */
export function run(service, read, build) {
  const main = async () => {
    const settings = read(process.env);
    const log = logTo(process.stderr, settings.logLevel, service);
    const serving = await serve(settings, log, build);
    const stop = async () => {
      log.info('stopping');
      await serving.stop();
      process.exit(0);
    };
    process.once('SIGTERM', stop);
    process.once('SIGINT', stop);
    process.stdout.write(`ready ${service} ${serving.address}\n`);
  };
  main().catch((error) => {
    process.stderr.write(`${service}: ${error.message}\n`);
    process.exit(1);
  });
}

/**
 * Serves; returns `address` and `stop()`, which leaves, drains and returns when nothing is left. `build` gets the
 * platform, and returns `serves`, pairs of a service's definition and its handlers, and `close()`, which may be missing.
 */
export async function serve(settings, log, build) {
  const contracts = loadContracts();
  const tokens = new CallerTokens(settings.secret, settings.service);
  const admission = new Admission(tokens, new Statuses(contracts, settings.service), log);
  const registry = registryAt(settings.registry, contracts, log);
  const callees = new Callees(settings.sidecar, registry);
  const built = await build({ contracts, tokens, admission, callees, settings, log });
  const health = new HealthImplementation({ '': 'SERVING' });

  const server = new Server();
  health.addToServer(server);
  for (const [service, handlers] of built.serves) server.addService(service, handlers);
  const address = await listening(server, settings);
  const away = () => registry.away;
  const control = settings.control && (await controlling(settings.control, contracts, settings, admission, away));
  await registry.register(instanceAt(address, settings));

  const stop = async () => {
    await registry.close();
    await leftAlone(admission);
    health.setStatus('', 'NOT_SERVING');
    await drained(server, settings.drain);
    await built.close?.();
    callees.close();
    if (control) control.forceShutdown();
  };
  return { address, stop };
}

/** Waits until no call has begun for a while, or for long enough. */
async function leftAlone(admission) {
  const end = Date.now() + LONGEST_LEAVING;
  for (let before = -1, begun; (begun = admission.running + admission.served) !== before && Date.now() < end; ) {
    before = begun;
    await pause(LEAVING);
  }
}

async function listening(server, { address }) {
  const path = address.startsWith('unix:') && address.slice('unix:'.length);
  if (path) {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    rmSync(path, { force: true }); // of a process that was killed
  }
  const port = await bind(server, address, ServerCredentials.createInsecure());
  if (!path) return `${address.slice(0, address.lastIndexOf(':'))}:${port}`;
  chmodSync(path, 0o600);
  return address;
}

function registryAt({ target, secret }, contracts, log) {
  const client = new contracts.soukapi.v1.Registry(target, credentials.createInsecure(), CHANNEL);
  return new Registry(client, secret, log);
}

/** What the registry knows of this process: in a mesh others find its sidecar, and the sidecar finds where it listens. */
function instanceAt(address, { service, instance, version, zone, weight, advertise }) {
  const metadata = { runtime: `node-${process.version}`, ...(advertise && { app: address }) };
  return { service, id: instance, address: advertise || address, version, zone, weight, metadata };
}
