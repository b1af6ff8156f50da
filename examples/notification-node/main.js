// One process of the Notification service.

import { run } from './src/process.js';
import { build } from './src/service.js';
import { SERVICE, settingsOf } from './src/settings.js';

run(SERVICE, settingsOf, build);
