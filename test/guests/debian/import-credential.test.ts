// Scenario 2 in a guest of Debian 13, whose systemd has ImportCredential=; Debian 12's has not.
import { resolve } from 'node:path';
import tap from 'tap';
import { daemonTest } from '../../integration/daemon-test.js';
import { whyNotOnPath, whyNotRoot } from '../../setup/programs.js';
import { createDaemonBooter } from './boot-with-daemon.js';
import { parseConsole } from './console-report.js';
import { buildGuestImage } from './guest-image.js';
import { myAppImported } from './scenarios/my-app.js';
import { combineScenarios } from './scenarios/scenario.js';

// Root for debootstrap, where the guest is not in the cache yet.
const skip = whyNotOnPath('qemu-system-x86_64') || whyNotRoot();

daemonTest(myAppImported.title, { skip, timeoutMs: 400_000 }, async (t, { daemon }) => {
  const boot = createDaemonBooter({
    daemon,
    image: await buildGuestImage(process.cwd(), 'trixie'),
    guestFolder: resolve('guest'),
    onProgress: line => t.comment(line),
  });
  const outcome = await boot(combineScenarios('imported', [myAppImported]));
  const report = parseConsole(outcome.console);
  t.strictSame(report.failures, [], 'no unit failed');
  t.equal(outcome.receipt, 'verified');
  myAppImported.check(t, report);
});
tap.setTimeout(600_000); // the first run builds the guest
