// The search for secrets is itself searched for what it misses.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { Canary } from '../canary.js';
import { TestDaemon } from './daemon.js';
import { searchEverywhere } from './daemon-test.js';

test('finds a canary that was planted in each of the places', async t => {
  const daemon = await TestDaemon.start();
  try {
    const canary = new Canary();
    const rig = { daemon, canary };
    t.strictSame(searchEverywhere(rig), []);

    const path = join(daemon.runtime, 'planted');
    writeFileSync(path, `{"oem":"${Buffer.from(`a${canary.text}`).toString('base64')}"}`);
    t.strictSame(searchEverywhere(rig), [path]);
    rmSync(path);

    const holders = [
      { place: 'cmdline', args: [canary.text], env: {} },
      { place: 'environ', args: [], env: { PLANTED: canary.text } },
    ];
    for (const { place, args, env } of holders) {
      // It waits for its standard input.
      const child = spawn('/bin/cat', ['-', ...args], { env });
      await once(child, 'spawn');
      t.strictSame(searchEverywhere(rig), [`/proc/${child.pid}/${place}`]);
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    }

    await daemon.call('GET', `/v1/vms/${canary.text}`);
    t.match(searchEverywhere(rig), ['log, replies and events']);
  } finally {
    await daemon.close();
  }
});
