// define, delete, reload: definitions.
import { readFile } from 'node:fs/promises';
import type { Command } from 'commander';
import { systemErrorCode } from '../errors.js';
import type { VmView } from '../vm/vm.js';
import { CliError, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { renderVm } from './render.js';

export function addDefineCommands(program: Command): void {
  program
    .command('define')
    .argument('<name>')
    .argument('<file>', 'definition, JSON')
    .description('keep a definition')
    .action(async (name: string, file: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const answer = client.call('PUT', vmPath(name), await readJson(file)).catch(error => {
        throw nameFile(error, file);
      });
      print((await answer) as VmView, renderVm);
    });
  program
    .command('delete')
    .argument('<name>')
    .description('drop a kept definition')
    .action(async (name: string, _options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      await client.call('DELETE', vmPath(name));
      print({ deleted: name }, () => `${name} deleted`);
    });
  program
    .command('reload')
    .description('read the definitions again')
    .action(async (_options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const answer = (await client.wait('POST', '/v1/reload')) as {
        definitions: number;
        problems: { path: string; message: string }[];
      };
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
function nameFile(error: unknown, file: string): unknown {
  if (!(error instanceof CliError) || error.path === undefined) return error;
  return new CliError(error.message.replace(error.path, file), error.exitStatus);
}

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8').catch(error => {
    throw new CliError(`${file} cannot be read: ${systemErrorCode(error) ?? 'unknown error'}`, EXIT.failed);
  });
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new CliError(`${file} is not JSON: ${error instanceof Error ? error.message : ''}`, EXIT.failed);
  }
}
