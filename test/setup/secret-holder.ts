import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Canary } from '../canary.js';

/** A process with the secret in its memory, which proves what a search finds. Whoever starts it kills it. */
export async function startSecretHolder(canary: Canary): Promise<ChildProcess & { pid: number }> {
  const script = "process.stdin.once('data', bytes => { globalThis.kept = bytes; console.log('kept'); })";
  const holder = spawn(process.execPath, ['-e', script], { stdio: ['pipe', 'pipe', 'ignore'] });
  holder.stdin.write(canary.text);
  await once(holder.stdout, 'data');
  return Object.assign(holder, { pid: holder.pid ?? 0 });
}
