// Settings: what every service of a fleet reads, and what Payment needs besides.

import { ConfigurationError, number, settingsOf as common } from '../../notification-node/src/settings.js';

export const SERVICE = 'payment';
const NO_BUS = 'SOUK_BROKER: this example publishes to the bus of a fleet, unix:///path/of/its/socket, and to nothing else';

/** What is set, as one frozen value; raises ConfigurationError. `bank.timeout` is in milliseconds. */
export function settingsOf(environment) {
  const given = (name, otherwise = '') => environment[`SOUK_${name}`] || otherwise;
  const postgres = given('POSTGRES');
  if (!postgres) throw new ConfigurationError('SOUK_POSTGRES is not set: this example keeps its books in PostgreSQL alone');
  const url = given('PAYMENT_PROVIDER_URL');
  if (!url) throw new ConfigurationError('SOUK_PAYMENT_PROVIDER_URL is not set: this example has no bank of its own');
  const [, bus] = /^unix:\/\/([^?]+)/.exec(given('BROKER')) ?? [];
  if (!bus) throw new ConfigurationError(NO_BUS);
  return Object.freeze({
    ...common(environment, SERVICE),
    postgres: postgres.replace('{service}', SERVICE),
    pool: number('POSTGRES_POOL', given('POSTGRES_POOL', '10'), 1, 1_000),
    bank: {
      url,
      timeout: number('PAYMENT_PROVIDER_TIMEOUT', given('PAYMENT_PROVIDER_TIMEOUT', '4'), 0.001, 60) * 1_000,
      keyFile: given('PAYMENT_PROVIDER_KEY_FILE'),
    },
    bus: decodeURIComponent(bus),
    routes: routesOf(given('SUBSCRIPTIONS')),
  });
}

/** The consumers that are called with their events: [{ name, service, consumer, types }]. */
function routesOf(text) {
  return text.split(',').filter(Boolean).map((one) => {
    const [, name, service, consumer, types] = /^(([^/=]+)\/([^=]+))=(.*)$/.exec(one.trim()) ?? [];
    if (!name) throw new ConfigurationError(`SOUK_SUBSCRIPTIONS: ${JSON.stringify(one)} is not SERVICE/CONSUMER=TYPE+TYPE`);
    return { name, service, consumer, types: types.split('+') };
  });
}
