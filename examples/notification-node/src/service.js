// The Notification service as a process: everything is put together here.

import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Server, ServerCredentials, credentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { Admission } from './admission.js';
import { CallerTokens } from './caller_tokens.js';
import { CHANNEL } from './channel.js';
import { loadContracts } from './contracts.js';
import { controlling } from './control.js';
import { EmlPostman } from './eml_postman.js';
import { eventSink } from './event_sink.js';
import { bind, drained } from './listening.js';
import { mailEvents } from './mail_event.js';
import { Statuses } from './refusals.js';
import { Registry } from './registry.js';
import { renderMessage } from './render_message.js';
import { SERVICE } from './settings.js';
import { Drafts } from './templates.js';
import { UserContacts } from './user_contacts.js';

const MAILS = 'mails';
const TEXTS = 'texts'; // text messages need a provider, which this example has none of
const MAILBOX = 'mailbox';
const LEAVING = 300; // milliseconds in which whoever hears late that it left still gets an answer

/** Serves; returns `address` and `stop()`, which leaves, drains and returns when nothing is left. */
export async function serve(settings, log) {
  const contracts = loadContracts();
  const tokens = new CallerTokens(settings.secret, SERVICE);
  const admission = new Admission(tokens, new Statuses(contracts, SERVICE), log);
  const registry = registryAt(settings.registry, contracts, log);
  const contacts = new UserContacts(contracts, registry, tokens, admission.statuses);
  const drafts = new Drafts(contracts);
  const mails = mailEvents(drafts, contacts, new EmlPostman(join(settings.folder, MAILBOX)), log);
  const health = new HealthImplementation({ '': 'SERVING' });

  const server = new Server();
  health.addToServer(server);
  addServices(server, contracts, admission, drafts, mails, log);
  const address = await listening(server, settings);
  const away = () => registry.away;
  const control = settings.control && (await controlling(settings.control, contracts, settings, admission, away));
  await registry.register(instanceAt(address, settings));

  const stop = async () => {
    await registry.close();
    await pause(LEAVING);
    health.setStatus('', 'NOT_SERVING');
    await drained(server, settings.drain);
    contacts.close();
    if (control) control.forceShutdown();
  };
  return { address, stop };
}

function addServices(server, { shop, soukapi }, admission, drafts, mails, log) {
  server.addService(shop.notification.v1.NotificationService.service, {
    renderMessage: admission.internal(renderMessage(drafts)),
  });
  server.addService(soukapi.v1.EventSink.service, {
    deliver: admission.internal(eventSink({ [MAILS]: mails, [TEXTS]: async () => {} }, log)),
  });
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

function instanceAt(address, { instance, version, zone, weight }) {
  const metadata = { runtime: `node-${process.version}` };
  return { service: SERVICE, id: instance, address, version, zone, weight, metadata };
}
