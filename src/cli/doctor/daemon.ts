// Whether the daemon answers, and is of this version.
import { isVersion } from '../answer-checks.js';
import { understand } from '../answers.js';
import { CliError, type Client } from '../client.js';
import { type Finding, fine, page, warning, wrong } from './finding.js';

export async function checkDaemon(client: Client, version: string): Promise<Finding> {
  try {
    const answer = understand(await client.call('GET', '/v1/version'), isVersion);
    const detail = `version ${answer.version} answers at ${client.socketPath}`;
    return answer.version === version
      ? fine('daemon', detail)
      : warning('daemon', `${detail}, and this program is ${version}`, 'systemctl restart vmsecretd');
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    return wrong(
      'daemon',
      error.message,
      `${page('install.md')} says how it is started, by systemd and by hand`,
    );
  }
}
