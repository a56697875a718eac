// Start-up time and memory of an idle daemon: starts it ROUNDS times (20 unless said otherwise) in a folder of its own, each time
// until /v1/health answers, then reads what it and its spare deliverer hold. node dist/bench/idle-daemon.js [ROUNDS]
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

const rounds = Number(process.argv[2] ?? 20);
/** By then the spare deliverer is warm and the daemon's first garbage is collected or not: as an idle one would stay. */
const SETTLE_MS = 3_000;
const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-'));

function isHealthy(): Promise<boolean> {
  return new Promise(resolve => {
    request({ socketPath: join(folder, 'admin.sock'), path: '/v1/health' })
      .once('response', answer => resolve(answer.resume().statusCode === 200))
      .once('error', () => resolve(false))
      .end();
  });
}

/** Resident, and the share of it that is this process's alone or its part of what several map (proc(5), smaps_rollup). */
function memoryOf(pid: number): { residentKiB: number; proportionalKiB: number } {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const read = (key: string) => Number(new RegExp(`^${key}:\\s+(\\d+) kB`, 'm').exec(rollup)?.[1]);
  return { residentKiB: read('Rss'), proportionalKiB: read('Pss') };
}

function childrenOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap(task =>
    readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number),
  );
}

const median = (values: number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
const mebibytes = (kibibytes: number[]) => `${Math.round(median(kibibytes) / 1024)} MiB`;
const startMs: number[] = [];
const processes: { residentKiB: number; proportionalKiB: number }[][] = [];

for (let round = 0; round < rounds; round += 1) {
  const flags = ['--runtime-directory', folder, '--state-directory', folder, '--definitions', folder];
  const startedAt = performance.now();
  const daemon = spawn(
    process.execPath,
    ['dist/src/daemon.js', '--config', join(folder, 'none.json'), ...flags],
    {
      stdio: 'ignore',
    },
  );
  while (!(await isHealthy())) await delay(2);
  startMs.push(performance.now() - startedAt);
  await delay(SETTLE_MS);
  const pid = daemon.pid ?? 0;
  processes.push([pid, ...childrenOf(pid)].map(memoryOf));
  daemon.kill();
  await once(daemon, 'exit');
}
rmSync(folder, { recursive: true });

console.log(
  `start to answering: median of ${rounds} ${Math.round(median(startMs))} ms, fastest ${Math.round(Math.min(...startMs))} ms`,
);
for (const [name, at] of [['daemon', 0] as const, ['spare deliverer', 1] as const]) {
  const of = processes.flatMap(round => round[at] ?? []);
  console.log(
    `${name}: resident ${mebibytes(of.map(memory => memory.residentKiB))}, ` +
      `proportional ${mebibytes(of.map(memory => memory.proportionalKiB))}`,
  );
}
