// Settings: the only place that reads the environment, once. These are the variables that Souk's
// supervisor gives to every process of a fleet; others, such as those of databases, mean nothing here.

import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { randomBytes } from 'node:crypto';

export const SERVICE = 'notification';
const LEVELS = ['debug', 'info', 'warning', 'error'];

/** A setting that does not fit, said in one line. */
export class ConfigurationError extends Error {}

/**
 * What is set, as one frozen value; raises ConfigurationError. `drain` is in milliseconds. In a mesh `sidecar` is where
 * all calls go, and `advertise` where others call: at the sidecar, too, which calls `address`.
 */
export function settingsOf(environment, service = SERVICE) {
  const given = (name, otherwise) => environment[`SOUK_${name}`] || otherwise;
  const data = resolve(given('DATA', 'var/souk'));
  const instance = given('INSTANCE', `${service}-${randomBytes(6).toString('hex')}`);
  return Object.freeze({
    service,
    folder: join(data, service),
    address: addressOf(given, data, instance),
    instance,
    version: given('VERSION', ''),
    zone: given('ZONE', ''),
    weight: number('WEIGHT', given('WEIGHT', '1'), 1, 1_000),
    registry: registryOf(given('REGISTRY', ''), data),
    sidecar: given('SIDECAR', ''),
    advertise: given('ADVERTISE', ''),
    control: given('CONTROL', ''),
    drain: number('DRAIN', given('DRAIN', '20'), 0, 9_999) * 1_000,
    logLevel: oneOf('LOG_LEVEL', given('LOG_LEVEL', 'info'), LEVELS),
    secret: secretOf(given('SECRET', ''), data),
  });
}

/** Where it listens: at a socket in the data directory, or at a TCP port where SOUK_HOST or SOUK_PORT asks for one. */
function addressOf(given, data, instance) {
  const port = number('PORT', given('PORT', '0'), 0, 65_535);
  if (!given('HOST', '') && port === 0) return `unix:${join(socketsOf(data), `${instance}.grpc.sock`)}`;
  const host = given('HOST', '127.0.0.1');
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The folder of sockets, which only the owner of the data directory can enter. */
function socketsOf(data) {
  const elsewhere = join(data, 'run', 'where'); // there when the path of `run` is too long for a socket
  return existsSync(elsewhere) ? readFileSync(elsewhere, 'utf8').trim() : join(data, 'run');
}

/**
 * Where the registry is, as gRPC has it, and its secret, which is the password of the URL: as it is given, or the
 * socket of the fleet which runs on the data directory.
 */
function registryOf(url, data) {
  if (!url) {
    return { target: `unix:${join(socketsOf(data), 'registry.sock')}`, secret: '' };
  }
  const [, scheme, , secret, place] = /^(unix|grpc):(\/\/(?::([^@/]*)@)?)?(.+)$/.exec(url) ?? [];
  if (!place) {
    throw new ConfigurationError('SOUK_REGISTRY: this example knows unix:PATH and grpc://:SECRET@host:port only');
  }
  const target = scheme === 'unix' ? `unix:${decodeURIComponent(place)}` : place;
  return { target, secret: decodeURIComponent(secret ?? '') };
}

/** What callers are signed with between services: text that is given, or the octets that the installation keeps. */
function secretOf(text, data) {
  const path = join(data, 'secret');
  try {
    const secret = text ? Buffer.from(text) : readFileSync(path);
    if (secret.length >= 32) return secret;
  } catch (error) {
    throw new ConfigurationError(`SOUK_SECRET is not set, and ${path} cannot be read (${error.code})`);
  }
  throw new ConfigurationError("the installation's secret must have at least 32 octets");
}

/** A number within limits; raises ConfigurationError. */
export function number(name, text, least, most) {
  const value = Number(text);
  if (text.trim() && value >= least && value <= most) return value;
  throw new ConfigurationError(`SOUK_${name}: ${JSON.stringify(text)} must be ${least} to ${most}`);
}

function oneOf(name, text, choices) {
  if (choices.includes(text)) return text;
  throw new ConfigurationError(`SOUK_${name}: ${JSON.stringify(text)} must be one of ${choices.join(', ')}`);
}
