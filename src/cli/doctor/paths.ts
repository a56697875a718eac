// Where the daemon looks: as it says itself, or as it would by default.

import { dirname } from 'node:path';
import { defaultFolders } from '../../default-folders.js';
import { SSH_HOST_KEYS } from '../../default-identities.js';
import type { DaemonPaths } from '../../http/routes/service.js';
import { isPaths } from '../answer-checks.js';
import { understand } from '../answers.js';
import { CliError, type Client } from '../client.js';

export async function readPaths(client: Client, answers: boolean): Promise<DaemonPaths> {
  const defaults = defaultPaths(client.socketPath);
  if (!answers) return defaults;
  try {
    return understand(await client.call('GET', '/v1/paths'), isPaths);
  } catch (error) {
    // A daemon of an older version does not tell.
    if (!(error instanceof CliError)) throw error;
    return defaults;
  }
}

/** The system's, unless the socket is where a daemon of one's own has it. */
function defaultPaths(socketPath: string): DaemonPaths {
  const own = defaultFolders(process.env, false);
  const folders = own.runtimeDirectory === dirname(socketPath) ? own : defaultFolders({}, true);
  return {
    ...folders,
    identities: [...SSH_HOST_KEYS],
    passphraseFiles: [],
    programPath: process.env.PATH ?? '',
  };
}
