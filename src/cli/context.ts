// What every command needs: the client for the chosen socket, and the way to print.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Command, Option } from 'commander';
import { defaultFolders } from '../default-folders.js';
import { type Client, createClient } from './client.js';
import type { RemoteSocket } from './hosts.js';
import { showBusy } from './progress.js';
import { renderYaml } from './yaml.js';

export const FORMATS = ['table', 'json', 'yaml'] as const;
export type Format = (typeof FORMATS)[number];

/** How tables look. */
export interface Look {
  headers: boolean;
  colours: boolean;
}

export interface Context {
  client: Client;
  /** Several hosts, where -H names them. */
  remotes: readonly RemoteSocket[];
  format: Format;
  quiet: boolean;
  look: Look;
  /** Prints JSON or YAML where asked for, else what `render` makes of it. With --quiet nothing, unless `names` gives what is printed then. */
  print<Answer>(
    answer: Answer,
    render: (answer: Answer, look: Look) => string,
    names?: (answer: Answer) => readonly string[],
  ): void;
  /** Shows on a terminal that the work goes on. @param what "checking web" */
  busy<Result>(what: string, work: Promise<Result>): Promise<Result>;
}

interface GlobalOptions {
  socket?: string;
  remotes?: readonly RemoteSocket[];
  json?: boolean;
  output?: Format;
  quiet?: boolean;
  headers: boolean;
}

export function addGlobalOptions(program: Command): void {
  program
    .option(
      '--socket <path>',
      'socket of the daemon (VMSECRETD_SOCKET; admin.sock for root, else vmsecretd.sock)',
    )
    .option(
      '-H, --host <host>',
      'a daemon on another host over ssh: ssh://user@host; several for list',
      collect,
    )
    .addOption(
      new Option('-o, --output <format>', 'how answers are printed; `table` unless given').choices(FORMATS),
    )
    .option('--json', 'the same as --output json')
    .option('-q, --quiet', 'print names only, of verbs nothing')
    .option('--no-headers', 'tables without their first line')
    // As systemctl has it.
    .addOption(new Option('--no-legend').hideHelp().implies({ headers: false }));
}

const collect = (host: string, before: string[] = []) => [...before, host];

export function contextOf(command: Command): Context {
  const options = command.optsWithGlobals<GlobalOptions>();
  const format = formatOf(options);
  const quiet = options.quiet === true;
  const { remotes = [] } = options;
  const [remote] = remotes;
  const look = {
    headers: options.headers,
    colours: process.stdout.isTTY && process.stdout.hasColors(),
  };
  return {
    format,
    quiet,
    look,
    remotes,
    client:
      remote === undefined || 'error' in remote
        ? createClient(options.socket ?? process.env.VMSECRETD_SOCKET ?? defaultSocket())
        : createClient(remote.socketPath, remote.host),
    print: (answer, render, names) => {
      const text = quiet
        ? (names?.(answer) ?? []).join('\n')
        : format === 'table'
          ? render(answer, look)
          : serialize(answer, format);
      if (text !== '') process.stdout.write(`${text}\n`);
    },
    busy: (what, work) => showBusy(what, work, process.stderr),
  };
}

/** @param options of the program */
function formatOf({ json, output }: GlobalOptions): Format {
  return json === true ? 'json' : (output ?? 'table');
}

/** Whether errors are for a program. Before options are parsed, and where they cannot be. */
export function asksForProgram(words: readonly string[] = process.argv.slice(2)): boolean {
  const own = words.slice(0, words.includes('--') ? words.indexOf('--') : undefined);
  return /(^| )(--json|(-o|--output)[ =]?(json|yaml))( |$)/.test(own.join(' '));
}

/** @returns without a newline at its end */
export function serialize(answer: unknown, format: Exclude<Format, 'table'>): string {
  return format === 'json' ? JSON.stringify(answer, null, 2) : renderYaml(answer);
}

/** The system daemon's, unless somebody who is not root has one of their own. */
function defaultSocket(): string {
  const system = defaultFolders({}, true).runtimeDirectory;
  if (process.getuid?.() === 0) return join(system, 'admin.sock');
  const own = join(defaultFolders(process.env, false).runtimeDirectory, 'admin.sock');
  return existsSync(own) ? own : join(system, 'vmsecretd.sock');
}

export function vmPath(name: string, rest = ''): string {
  return `/v1/vms/${encodeURIComponent(name)}${rest}`;
}
