// One process of the Notification service: prints `ready notification ADDRESS` once it takes calls,
// and ends with status 0 on SIGTERM.

import { logTo } from './src/logs.js';
import { serve } from './src/service.js';
import { SERVICE, settingsOf } from './src/settings.js';

async function main() {
  const settings = settingsOf(process.env);
  const log = logTo(process.stderr, settings.logLevel);
  const serving = await serve(settings, log);
  const stop = async () => {
    log.info('stopping');
    await serving.stop();
    process.exit(0);
  };
  process.once('SIGTERM', stop);
  process.once('SIGINT', stop);
  process.stdout.write(`ready ${SERVICE} ${serving.address}\n`);
}

main().catch((error) => {
  process.stderr.write(`${SERVICE}: ${error.message}\n`);
  process.exit(1);
});
