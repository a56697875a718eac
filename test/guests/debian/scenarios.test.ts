import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { createQemuBooter } from './boot-with-qemu.js';
import { parseConsole } from './console-report.js';
import { buildGuestImage } from './guest-image.js';
import { binaryValues } from './scenarios/binary-values.js';
import { demoOemCredentials } from './scenarios/demo-oem-credentials.js';
import { checkHeadscale } from './scenarios/headscale.js';
import { myApp } from './scenarios/my-app.js';
import { checkRotation } from './scenarios/rotation.js';
import { combineScenarios } from './scenarios/scenario.js';

const isRoot = process.getuid?.() === 0;
const skip = isRoot ? false : 'building the guest needs root, for debootstrap';

t.setTimeout(600_000); // the first run builds the guest, and each boot takes 13 seconds on two cores
t.test('a Debian guest of QEMU', { skip }, async t => {
  const image = await buildGuestImage(process.cwd());
  const boot = createQemuBooter({
    image,
    guestFolder: resolve('guest'),
    makeFolder: () => makeShortFolder(t),
  });

  await t.test('one boot for the scenarios that only read', async t => {
    const scenarios = [demoOemCredentials, myApp, binaryValues];
    const outcome = await boot(combineScenarios('shared', scenarios));
    const report = parseConsole(outcome.console);
    t.strictSame(report.failures, [], 'no unit failed');
    t.strictSame(outcome.receipt, { status: 'verified' });
    for (const { title, check } of scenarios) await t.test(title, async t => check(t, report));
  });
  await t.test('headscale: files below /run/agenix and a Kubernetes Secret', t => checkHeadscale(t, boot));
  await t.test('a rotated secret is there after the next boot', t => checkRotation(t, boot));
});

/** tap's own folders are too deep for the paths of sockets. */
function makeShortFolder(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'guest-'));
  t.teardown(() => rmSync(folder, { recursive: true }));
  return folder;
}
