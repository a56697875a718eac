// Age files and keys made by the real programs: `age`, `ssh-keygen`, and `script` where age wants a terminal.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { whyNotOnPath } from './programs.js';

/** Folder of the test plugins. */
export const PLUGIN_FOLDER = resolve('test/fixtures/bin');

export function whyNoAge(): string | false {
  return whyNotOnPath('age') || whyNotOnPath('ssh-keygen');
}

export function encryptWithAge(plaintext: Buffer, args: readonly string[]): Buffer {
  const env = { ...process.env, PATH: `${PLUGIN_FOLDER}:${process.env.PATH}` };
  return execFileSync('age', args, {
    input: plaintext,
    env,
    maxBuffer: 1024 ** 3,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
}

/** `age -p` takes a passphrase from a terminal only. */
export function encryptWithPassphrase(inputPath: string, passphrase: string): Buffer {
  const outputPath = `${inputPath}.age`;
  const command = `age -p -o '${outputPath}' '${inputPath}'`;
  execFileSync('script', ['-qec', command, '/dev/null'], {
    input: `${passphrase}\n${passphrase}\n`,
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  return readFileSync(outputPath);
}

/** Writes PATH and PATH.pub. */
export function makeSshKey(path: string, args: readonly string[], passphrase = ''): void {
  execFileSync('ssh-keygen', ['-q', '-f', path, '-N', passphrase, '-C', 'a test', ...args]);
}
