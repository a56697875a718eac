// What every command needs: the client for the chosen socket, and the way to print.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { defaultFolders } from '../default-folders.js';
import { type Client, createClient } from './client.js';

export interface Context {
  client: Client;
  /** Whether the answer is for a program. */
  json: boolean;
  /** Prints JSON with --json, else what `render` makes of it. */
  print<Answer>(answer: Answer, render: (answer: Answer) => string): void;
}

export function contextOf(command: Command): Context {
  const { socket, json } = command.optsWithGlobals<{ socket?: string; json?: boolean }>();
  return {
    json: json === true,
    client: createClient(socket ?? process.env.VMSECRETD_SOCKET ?? defaultSocket()),
    print: (answer, render) => {
      process.stdout.write(`${json === true ? JSON.stringify(answer, null, 2) : render(answer)}\n`);
    },
  };
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
