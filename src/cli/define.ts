// define, delete, reload: definitions.

import { readFile } from 'node:fs/promises';
import { text as readText } from 'node:stream/consumers';
import type { Command } from 'commander';
import { systemErrorCode } from '../errors.js';
import { isReload, isVm } from './answer-checks.js';
import { understand } from './answers.js';
import { CliError, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { renderVm } from './render.js';
import { isPattern } from './select-vms.js';

export function addDefineCommands(program: Command): void {
  program
    .command('define')
    .argument('<name>')
    .argument('<file>', 'definition, JSON; - reads standard input')
    .description('keep a definition')
    .action(async (name: string, file: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const answer = client.call('PUT', vmPath(name), await readDefinition(file)).catch(error => {
        throw nameFile(error, file);
      });
      print(understand(await answer, isVm), renderVm);
    });
  program
    .command('delete')
    .aliases(['rm', 'undefine'])
    .argument('<names...>')
    .description('drop kept definitions')
    .action(async (names: string[], _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const pattern = names.find(isPattern);
      if (pattern !== undefined)
        throw new CliError(`delete takes names and no patterns such as ${pattern}`, EXIT.usedWrongly);
      for (const name of new Set(names)) {
        await client.call('DELETE', vmPath(name));
        print({ deleted: name }, () => `${name} deleted`);
      }
    });
  program
    .command('reload')
    .aliases(['daemon-reload'])
    .description('read the definitions again')
    .action(async (_options: unknown, command: Command) => {
      const { client, print, busy } = contextOf(command);
      const answer = understand(
        await busy('reading the definitions', client.wait('POST', '/v1/reload')),
        isReload,
      );
      print(answer, ({ definitions, problems }) =>
        [
          `${definitions} definition${definitions === 1 ? '' : 's'}`,
          ...problems.map(problem => problem.message),
        ].join('\n'),
      );
      if (answer.problems.length > 0) process.exitCode = EXIT.failed;
    });
}

/** The daemon names the file in which it would have kept the definition; its author knows the one that was given. */
export function nameFile(error: unknown, file: string): unknown {
  if (!(error instanceof CliError)) return error;
  const { code, path, detail } = error.problem;
  if (code !== 'definition_invalid' || typeof path !== 'string') return error;
  return new CliError(error.message.replace(path, file), error.exitStatus, {
    ...error.problem,
    detail: String(detail).replace(path, file),
    path: file,
  });
}

/**
 * @param file `-` for standard input
 * @returns its text as it is: the daemon finds a key that stands twice @throws CliError where it is not JSON
 */
export async function readDefinition(file: string): Promise<Buffer> {
  const text = await (file === '-' ? readText(process.stdin) : readFile(file, 'utf8')).catch(error => {
    throw new CliError(`${file} cannot be read: ${systemErrorCode(error) ?? 'unknown error'}`, EXIT.failed);
  });
  try {
    JSON.parse(text);
  } catch (error) {
    const name = file === '-' ? 'standard input' : file;
    throw new CliError(`${name} is not JSON: ${error instanceof Error ? error.message : ''}`, EXIT.failed);
  }
  return Buffer.from(text);
}
