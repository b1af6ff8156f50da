// The contracts, read from the .proto files that all services share. Nothing is generated or copied.

import { fileURLToPath } from 'node:url';
import { loadPackageDefinition } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';

const SHARED = fileURLToPath(new URL('../../../contracts', import.meta.url));
// google.api and google.rpc, as Google publishes them.
const PUBLIC = fileURLToPath(new URL('../proto', import.meta.url));
const FILES = [
  'shop/notification/v1/notification.proto',
  'shop/order/v1/order.proto',
  'shop/payment/v1/payment.proto',
  'shop/user/v1/user.proto',
  'soukapi/v1/event.proto',
  'soukapi/v1/fleet.proto',
  'soukapi/v1/registry.proto',
  'google/rpc/error_details.proto',
  'google/rpc/status.proto',
];

/**
 * Clients and services by their packages, and `type(name)`, which reads and writes the messages of a
 * full name. 64-bit integers are text, since a JavaScript number does not hold them all.
 */
export function loadContracts() {
  const definition = loadSync(FILES, { includeDirs: [SHARED, PUBLIC], longs: String, enums: String, defaults: true });
  return { ...loadPackageDefinition(definition), type: (name) => definition[name] };
}
