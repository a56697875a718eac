// cat and edit: the text of a kept definition.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { json as readJson } from 'node:stream/consumers';
import type { Command } from 'commander';
import { isPaths, isVm } from './answer-checks.js';
import { understand, type VmAnswer } from './answers.js';
import { CliError, type Client, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { nameFile, readDefinition } from './define.js';
import { renderVm } from './render.js';

export function addEditCommands(program: Command): void {
  program
    .command('cat')
    .argument('<name>')
    .description('print the definition')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      print(await client.call('GET', vmPath(name, '/definition')), definition =>
        JSON.stringify(definition, null, 2),
      );
    });
  program
    .command('edit')
    .argument('<name>')
    .description('change a kept definition in $VISUAL or $EDITOR; it is kept if it is valid')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const edited = await editDefinition(name, client);
      if (edited === undefined) process.stderr.write(`${name} is not changed\n`);
      else print(edited, renderVm);
    });
}

/** @returns the VM with its new definition; undefined where nothing was changed */
async function editDefinition(name: string, client: Client): Promise<VmAnswer | undefined> {
  await refuseFileOwned(name, client);
  const read = await client.stream(vmPath(name, '/definition'));
  const { etag } = read.headers;
  const before = `${JSON.stringify(await readJson(read), null, 2)}\n`;
  const folder = await mkdtemp(join(tmpdir(), 'vmsecretctl-'));
  const file = join(folder, `${name}.json`);
  await writeFile(file, before, { mode: 0o600 });
  for (;;) {
    const status = await runEditor(file);
    if ((await readFile(file, 'utf8')) === before) {
      await rm(folder, { recursive: true });
      if (status === 0) return undefined;
      throw new CliError(`the editor failed (${status})`, EXIT.failed);
    }
    try {
      if (status !== 0) throw new CliError(`the editor failed (${status})`, EXIT.failed);
      const written = await client.call('PUT', vmPath(name), await readDefinition(file), {
        'if-match': etag ?? '*',
      });
      const vm = understand(written, isVm);
      await rm(folder, { recursive: true });
      return vm;
    } catch (thrown) {
      // What was typed stays.
      const error = nameFile(thrown, file);
      if (!(error instanceof CliError)) throw error;
      // What somebody else has changed meanwhile would be lost.
      const isLate = error.problem.code === 'precondition_failed';
      const isAgain = !isLate && process.stdin.isTTY && (await askToEditAgain(error.message));
      if (!isAgain) throw new CliError(`${error.message}; ${keptIn(file)}`, error.exitStatus, error.problem);
    }
  }
}

const keptIn = (file: string) => `the definition is as it was, and your text is in ${file}`;

/** @throws CliError before anything is typed that could not be kept */
async function refuseFileOwned(name: string, client: Client): Promise<void> {
  const { origin } = understand(await client.call('GET', vmPath(name)), isVm);
  if (origin !== 'file') return;
  const { definitionsDirectory } = understand(await client.call('GET', '/v1/paths'), isPaths);
  throw new CliError(
    `VM ${name} is defined by ${join(definitionsDirectory, `${name}.json`)}: edit that file`,
    EXIT.failed,
  );
}

/** @returns its exit status, or the signal that ended it */
async function runEditor(file: string): Promise<number | string> {
  const editor = process.env.VISUAL || process.env.EDITOR || 'vi';
  // Of a shell, as everybody runs it: it may have arguments.
  const child = spawn('/bin/sh', ['-c', `exec ${editor} "$1"`, 'sh', file], { stdio: 'inherit' });
  const [status, signal] = await once(child, 'exit');
  return status ?? signal;
}

async function askToEditAgain(message: string): Promise<boolean> {
  process.stderr.write(`vmsecretctl: ${message}\n`);
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await terminal.question('Edit it again? [Y/n] ').finally(() => terminal.close());
  return !/^n/i.test(answer.trim());
}
