// A service that notifies by the real notifier, and answers its watchdog until SIGUSR1 comes.
import { createNotifier } from '../../../src/system/notify.js';
import { startWatchdog } from '../../../src/system/watchdog.js';

const notifier = createNotifier({ environment: process.env, logger: console });
let isAnswering = true;
process.on('SIGUSR1', () => {
  isAnswering = false;
});
process.on('SIGHUP', async () => {
  await notifier.reloading();
  await notifier.ready('reloaded');
});
process.on('SIGTERM', async () => {
  await notifier.stopping();
  process.exit(0);
});
setInterval(() => {}, 1_000_000);
// Only now: who hears of it may send signals at once.
await notifier.ready('ready now');
startWatchdog({
  environment: process.env,
  pid: process.pid,
  notifier,
  probe: async () => {
    if (!isAnswering) throw new Error('told not to answer');
  },
});
