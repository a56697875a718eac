// version: of this program, and of the daemon that it asks.

import type { Command } from 'commander';
import { readCommit, readVersion } from '../version.js';
import { isVersion } from './answer-checks.js';
import { understand } from './answers.js';
import { contextOf } from './context.js';
import { renderTable } from './render.js';

export function addVersionCommand(program: Command): void {
  program
    .command('version')
    .description('versions of vmsecretctl and of the daemon')
    .action(async (_options: unknown, command: Command) => {
      const { client, print } = contextOf(command);
      const versions = { client: readVersion(), commit: readCommit() };
      // Without a daemon the half of it, and why.
      const answer = await client.call('GET', '/v1/version').catch(error => {
        print(versions, () => `vmsecretctl  ${versions.client}`);
        throw error;
      });
      const daemon = understand(answer, isVersion);
      print({ ...versions, daemon }, () =>
        renderTable([
          ['vmsecretctl', versions.client],
          ['vmsecretd', daemon.version],
          ['node of it', daemon.node],
        ]),
      );
    });
}
