// One process of the Payment service.

import { run } from '../notification-node/src/process.js';
import { build } from './src/service.js';
import { SERVICE, settingsOf } from './src/settings.js';

run(SERVICE, settingsOf, build);
