// Runs inside the container of unit-start.ts: starts two units in turn, prints the milliseconds of each as JSON.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import { untilIdle } from './processes.js';
import { interleave } from './row.js';

const rounds = Number(process.argv[2]);
const systemctl = (...args: string[]): string => execFileSync('systemctl', args, { encoding: 'utf8' }).trim();
const daemonPid = Number(systemctl('show', '--property=MainPID', '--value', 'vmsecretd'));

const active: Record<string, number[]> = { microvm: [], bare: [] };

/** @returns milliseconds until the guest printed its first byte */
async function startUnit(template: 'microvm' | 'bare', name: string): Promise<number> {
  const output = `/var/lib/microvms/${name}/out`;
  rmSync(output, { force: true });
  await untilIdle(daemonPid);
  const printed = untilWritten(output);
  const beganAt = performance.now();
  const start = spawn('systemctl', ['start', `${template}@${name}`], { stdio: 'inherit' });
  const started = once(start, 'exit').then(([status]) => {
    if (status !== 0) throw new Error(`${template}@${name} did not start`);
    return performance.now() - beganAt;
  });
  await Promise.race([printed, started.then(() => printed)]);
  const tookMs = performance.now() - beganAt;
  active[template]?.push(await started);
  systemctl('kill', '--signal=KILL', `${template}@${name}`);
  systemctl('stop', `${template}@${name}`);
  return tookMs;
}

function untilWritten(path: string): Promise<void> {
  const folder = dirname(path);
  mkdirSync(folder, { recursive: true });
  return new Promise(resolve => {
    const watcher = watch(folder, () => {
      if ((statSync(path, { throwIfNoEntry: false })?.size ?? 0) === 0) return;
      watcher.close();
      resolve();
    });
  });
}

// The first of each is not counted.
await startUnit('microvm', 'ours');
await startUnit('bare', 'bare');
for (const samples of Object.values(active)) samples.length = 0;
const { ours, bare } = await interleave(rounds, {
  ours: () => startUnit('microvm', 'ours'),
  bare: () => startUnit('bare', 'bare'),
});
console.log(JSON.stringify({ ours, bare, oursActive: active.microvm, bareActive: active.bare }));
