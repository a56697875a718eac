import { resolve } from 'node:path';
import tap from 'tap';
import { daemonTest } from '../../integration/daemon-test.js';
import { whyNotOnPath, whyNotRoot } from '../../setup/programs.js';
import { createDaemonBooter } from './boot-with-daemon.js';
import { parseConsole } from './console-report.js';
import { buildGuestImage } from './guest-image.js';
import { binaryValues } from './scenarios/binary-values.js';
import { demoOemCredentials } from './scenarios/demo-oem-credentials.js';
import { checkHeadscale } from './scenarios/headscale.js';
import { myApp } from './scenarios/my-app.js';
import { checkOversizedSecret } from './scenarios/oversized.js';
import { checkMissingThenRotated } from './scenarios/rotation.js';
import { combineScenarios } from './scenarios/scenario.js';

// Root for debootstrap, where the guest is not in the cache yet.
const skip = whyNotOnPath('qemu-system-x86_64') || whyNotRoot();

daemonTest(
  'a Debian guest reads its credentials',
  { skip, timeoutMs: 240_000 },
  async (t, { daemon, canary }) => {
    const image = await buildGuestImage(process.cwd());
    const boot = createDaemonBooter({
      daemon,
      image,
      guestFolder: resolve('guest'),
      onProgress: line => t.comment(line),
    });

    await t.test('one boot for the scenarios that only read', async t => {
      const scenarios = [demoOemCredentials, myApp, binaryValues];
      const outcome = await boot(combineScenarios('shared', scenarios));
      const report = parseConsole(outcome.console);
      t.strictSame(report.failures, [], 'no unit failed');
      t.equal(outcome.receipt, 'verified');
      for (const { title, check } of scenarios) await t.test(title, async t => check(t, report));
    });
    await t.test('headscale: files below /run/agenix and a Kubernetes Secret', t => checkHeadscale(t, boot));
    await t.test('a missing secret keeps a VM from booting, a changed one is there after a restart', t =>
      checkMissingThenRotated(t, boot, ['before the rotation', canary.text]),
    );
    await t.test('a value of 100 KB is refused', t => checkOversizedSecret(t, boot));
  },
);
tap.setTimeout(600_000); // the first run builds the guest
