// A test on a daemon of its own that ends with the search for its secret: while VMs run, and after they ended.
import { existsSync } from 'node:fs';
import tap, { type Test, test } from 'tap';
import { Canary } from '../canary.js';
import { type DaemonOptions, TestDaemon } from './daemon.js';

/** For all tests of a file, on a machine that has other things to do. */
const FILE_TIMEOUT_MS = 300_000;

export interface Rig {
  daemon: TestDaemon;
  /** Its text is for secrets alone: wherever the search finds it, the test fails. */
  canary: Canary;
}

export interface DaemonTestOptions extends DaemonOptions {
  /** For a file that takes longer than most. */
  fileTimeoutMs?: number;
  /** Why it cannot run here. */
  skip?: string | false;
}

export function daemonTest(
  title: string,
  options: DaemonTestOptions,
  body: (t: Test, rig: Rig) => Promise<void>,
): void {
  tap.setTimeout(options.fileTimeoutMs ?? FILE_TIMEOUT_MS);
  test(title, { skip: options.skip ?? false }, async t => {
    const daemon = await TestDaemon.start(options);
    const canary = new Canary();
    try {
      await body(t, { daemon, canary });
      t.strictSame(searchEverywhere({ daemon, canary }), [], 'the secret is nowhere else');
      if (!daemon.isRunning) return;
      await daemon.killVms();
      t.strictSame(daemon.vmms(), [], 'no VMM is left');
      t.strictSame(searchEverywhere({ daemon, canary }), [], 'nor is it once the VMs are gone');
    } finally {
      await daemon.close();
    }
  });
}

/** QEMU's console log has what the guest printed, and a test guest prints its secrets. */
const CONSOLE_LOG = '.console.log';

/** @returns the places that hold the secret */
export function searchEverywhere({ daemon, canary }: Rig): string[] {
  // There is no state before the first PUT.
  const folders = [daemon.runtime, daemon.state].filter(existsSync);
  const findings = [
    ...canary.searchProcesses(),
    ...canary.searchFiles(folders).filter(({ where }) => !where.endsWith(CONSOLE_LOG)),
    ...canary.searchText('log, replies and events', Buffer.concat(daemon.said)),
  ];
  return [...new Set(findings.map(({ where }) => where))];
}
