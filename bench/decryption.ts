// What a start spends on its age files: a fresh process, forked ahead and warmed up as deliverers are, opens N of
// them, against N runs of `age -d`, which is what agenix does.
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { makeSshKey, whyNoAge } from '../test/setup/age-program.js';
import type { DecryptRequest } from './decryption-child.js';
import { type Bench, durationOf, type Goal, interleave, medianOf } from './row.js';

const CHILD = fileURLToPath(new URL('./decryption-child.js', import.meta.url));
const SECRET_BYTES = 64;
/** The limit of a source is 1 MiB, so the file is a little less inside. */
const LARGE_BYTES = 1024 * 1024 - 1024;
const GOALS: Readonly<Record<string, Goal>> = {
  '20 files': { of: 'ratio', atMost: 0.2 },
  'a 1 MiB file': { of: 'ratio', atMost: 1 },
};

interface Key {
  identity: string;
  /** As age takes it. */
  recipient: readonly string[];
}

export async function benchDecryption(bench: Bench): Promise<void> {
  const reason = whyNoAge();
  if (reason !== false) return bench.note(`left out: ${reason}`);
  bench.note(`age ${execFileSync('age', ['--version'], { encoding: 'utf8' }).trim()}`);
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-bench-'));
  try {
    for (const [kind, key] of Object.entries(makeKeys(folder, bench.isShort)))
      await benchKind(bench, folder, kind, key);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function benchKind(bench: Bench, folder: string, kind: string, key: Key): Promise<void> {
  const ours: { size: number; value: number }[] = [];
  const theirs: { size: number; value: number }[] = [];
  for (const count of bench.isShort ? [1, 20] : [1, 20, 200]) {
    const files = encryptFiles(folder, key, count, SECRET_BYTES);
    const medians = await compare(bench, kind, count === 1 ? '1 file' : `${count} files`, key, files);
    ours.push({ size: count, value: medians.ours });
    theirs.push({ size: count, value: medians.theirs });
  }
  bench.plot(`${kind}: opening age files by their number`, 'ms', [
    { name: 'vmsecretd', points: ours },
    { name: 'age -d', points: theirs },
  ]);
  await compare(bench, kind, 'a 1 MiB file', key, encryptFiles(folder, key, 1, LARGE_BYTES));
}

async function compare(
  bench: Bench,
  kind: string,
  what: string,
  { identity }: Key,
  files: readonly string[],
): Promise<{ ours: number; theirs: number }> {
  const fromFork: number[] = [];
  const samples = await interleave(Math.ceil(bench.rounds / (files.length > 100 ? 6 : 2)), {
    ours: async () => {
      const beganAt = performance.now();
      const tookMs = await openInChild({ identity, files });
      fromFork.push(performance.now() - beganAt);
      return tookMs;
    },
    theirs: () => durationOf(() => runAge(identity, files)),
  });
  const title = `${kind}, ${what}`;
  bench.add({ what: title, unit: 'ms', against: 'age -d', goal: GOALS[what] }, samples);
  if (files.length === 20)
    bench.add(
      { what: `${title}, with the fork`, unit: 'ms', against: 'age -d' },
      { ...samples, ours: fromFork },
    );
  return { ours: medianOf(samples.ours), theirs: medianOf(samples.theirs) };
}

/** @returns milliseconds from settings to values */
async function openInChild(request: DecryptRequest): Promise<number> {
  const child = fork(CHILD, { execArgv: [] });
  const exit = once(child, 'exit');
  await once(child, 'message');
  const answer = once(child, 'message');
  child.send(request);
  const [tookMs] = await Promise.race([answer, exit.then(() => [Number.NaN])]);
  child.kill('SIGKILL');
  await exit;
  if (!Number.isFinite(tookMs)) throw new Error('the decrypting process ended');
  return tookMs;
}

function runAge(identity: string, files: readonly string[]): void {
  for (const file of files) {
    const { status } = spawnSync('age', ['-d', '-i', identity, '-o', '/dev/null', file]);
    if (status !== 0) throw new Error(`age -d ${file} failed`);
  }
}

function makeKeys(folder: string, isShort: boolean): Record<string, Key> {
  const native = join(folder, 'native');
  execFileSync('age-keygen', ['-o', native], { stdio: 'ignore' });
  const recipient = ['-r', /age1\w+/.exec(readFileSync(native, 'utf8'))?.[0] ?? ''];
  const keys: Record<string, Key> = { X25519: { identity: native, recipient } };
  for (const type of isShort ? ['ed25519'] : ['ed25519', 'rsa']) {
    const identity = join(folder, type);
    makeSshKey(identity, ['-t', type]);
    keys[`ssh-${type}`] = { identity, recipient: ['-R', `${identity}.pub`] };
  }
  return keys;
}

function encryptFiles(folder: string, { recipient }: Key, count: number, sizeBytes: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    const path = join(folder, `${index}.age`);
    const input = randomBytes(sizeBytes);
    writeFileSync(path, execFileSync('age', recipient, { input, maxBuffer: 2 ** 24 }));
    return path;
  });
}
