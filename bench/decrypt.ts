// What a start spends on its age files: a fresh process, forked ahead and warmed up as deliverers are, opens N of
// them, against N runs of `age -d`. Run it with `node dist/bench/decrypt.js`; it needs age and ssh-keygen.

import { execFileSync, fork, spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import { loadIdentities } from '../src/secrets/identities.js';
import { openSource } from '../src/secrets/source.js';
import { warmUpDecryption } from '../src/secrets/warm-up.js';

const ROUNDS = Number(process.env.ROUNDS ?? 15);
const SECRET_BYTES = 64;
/** As src/delivery/deliverer.ts has it. */
const CONCURRENT_SOURCES = 16;
const PROGRAM = fileURLToPath(import.meta.url);

interface Case {
  kind: string;
  identity: string;
  count: number;
  files: string[];
}

const folder = process.argv[2] === 'child' ? '' : mkdtempSync(join(tmpdir(), 'vmsecretd-bench-'));
if (folder === '') await serveParent();
else await compareAll().finally(() => rmSync(folder, { recursive: true }));

async function compareAll(): Promise<void> {
  const programs = `Node ${process.version}, age ${ageVersion()}, ${availableParallelism()} CPUs`;
  console.log(`${programs}, ${ROUNDS} rounds; medians (fastest to slowest)`);
  for (const next of makeCases()) await compare(next);
}

function* makeCases(): Generator<Case> {
  const kinds = {
    X25519: makeNativeKey(),
    'ssh-ed25519': makeSshKey('ed25519'),
    'ssh-rsa': makeSshKey('rsa'),
  };
  for (const [kind, { identity, recipient }] of Object.entries(kinds)) {
    const encrypt = (count: number, sizeBytes: number) => encryptFiles(count, sizeBytes, recipient);
    for (const count of [1, 20, 200]) yield { kind, identity, count, files: encrypt(count, SECRET_BYTES) };
    // 1 MiB is the limit of a source, so the file is a little less inside.
    yield { kind: `${kind}, 1 MiB`, identity, count: 1, files: encrypt(1, 1024 * 1024 - 1024) };
  }
}

/** One round of ours, one of age's, and again: whatever else the machine does meets both. */
async function compare({ kind, identity, count, files }: Case): Promise<void> {
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    ours.push(await runChild(identity, files));
    theirs.push(runAge(identity, files));
  }
  const ratio = median(theirs) / median(ours);
  console.log(
    `${kind.padEnd(20)} ${String(count).padStart(3)}  vmsecretd ${describe(ours)}  age -d ${describe(theirs)}  ${ratio.toFixed(1)} times as fast`,
  );
}

async function runChild(identity: string, files: readonly string[]): Promise<number> {
  const child = fork(PROGRAM, ['child'], { execArgv: [] });
  try {
    await once(child, 'message');
    const answer = once(child, 'message') as Promise<[number]>;
    child.send({ identity, files });
    return (await answer)[0];
  } finally {
    child.kill('SIGKILL');
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  }
}

/** The other end of runChild; answers with the milliseconds from settings to values. */
async function serveParent(): Promise<void> {
  await warmUpDecryption();
  const limit = pLimit(CONCURRENT_SOURCES);
  process.once('message', async ({ identity, files }: { identity: string; files: string[] }) => {
    const started = performance.now();
    const identities = await loadIdentities({ vm: 'bench', paths: [identity], passphraseFiles: [] });
    await Promise.all(files.map(age => limit(() => openSource('bench', 'SECRET', { age }, identities))));
    process.send?.(performance.now() - started);
  });
  process.send?.('ready');
}

function runAge(identity: string, files: readonly string[]): number {
  const started = performance.now();
  for (const file of files) {
    const { status } = spawnSync('age', ['-d', '-i', identity, '-o', '/dev/null', file]);
    if (status !== 0) throw new Error(`age -d ${file} failed`);
  }
  return performance.now() - started;
}

interface Key {
  identity: string;
  recipient: string[];
}

function makeNativeKey(): Key {
  const identity = join(folder, 'native');
  execFileSync('age-keygen', ['-o', identity], { stdio: 'ignore' });
  return { identity, recipient: ['-r', /age1\w+/.exec(readFileSync(identity, 'utf8'))?.[0] ?? ''] };
}

function makeSshKey(type: string): Key {
  const identity = join(folder, type);
  execFileSync('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', identity]);
  return { identity, recipient: ['-R', `${identity}.pub`] };
}

function encryptFiles(count: number, sizeBytes: number, recipient: readonly string[]): string[] {
  return Array.from({ length: count }, (_, index) => {
    const path = join(folder, `${index}.age`);
    writeFileSync(
      path,
      execFileSync('age', recipient, { input: randomBytes(sizeBytes), maxBuffer: 2 ** 24 }),
    );
    return path;
  });
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function describe(values: readonly number[]): string {
  const [fastest, slowest] = [Math.min(...values), Math.max(...values)];
  return `${median(values).toFixed(1).padStart(7)} ms (${fastest.toFixed(1)} to ${slowest.toFixed(1)})`;
}

function ageVersion(): string {
  return execFileSync('age', ['--version'], { encoding: 'utf8' }).trim();
}
