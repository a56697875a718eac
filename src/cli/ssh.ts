// ssh: into a guest whose systemd (256 or later) has sshd listen on vsock, over cloud-hypervisor's socket of it.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import type { Command } from 'commander';
import { systemErrorCode } from '../errors.js';
import { fieldOf } from '../json-field.js';
import { quoteWord } from '../system/quote-word.js';
import { isCommand } from './answer-checks.js';
import { understand } from './answers.js';
import { CliError, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';

/** Where systemd-ssh-generator has sshd listen. */
const SSH_PORT = 22;

interface SshOptions {
  login: string;
  stdio?: boolean;
}

export function addSshCommand(program: Command): void {
  program
    .command('ssh')
    .argument('<name>')
    .argument('[command...]', 'what to run there; put -- before one with options')
    .option('-l, --login <user>', 'of the guest', 'root')
    .option('--stdio', 'connect stdin and stdout to its sshd: a ProxyCommand for ssh_config')
    .description('open a shell in the guest, over vsock')
    .action(async (name: string, words: string[], { login, stdio }: SshOptions, command: Command) => {
      const { client } = contextOf(command);
      const { vmConfig } = understand(await client.call('GET', vmPath(name, '/command')), isCommand);
      const socket = fieldOf(vmConfig?.vsock, 'socket');
      if (typeof socket !== 'string')
        throw new CliError(
          `VM ${name} has no vsock: put --vsock cid=3,socket=vsock.sock on its command line (cloud-hypervisor)`,
          EXIT.failed,
        );
      if (stdio) return connectVsock(socket);
      // ssh gives it to a shell, and replaces what follows a percent sign.
      const proxy = [
        process.execPath,
        process.argv[1] ?? '',
        '--socket',
        client.socketPath,
        'ssh',
        name,
        '--stdio',
      ]
        .map(quoteWord)
        .join(' ')
        .replaceAll('%', '%%');
      process.exitCode = await runSsh([
        ...['-o', `ProxyCommand=${proxy}`, '-o', `HostKeyAlias=vm/${name}`, '-o', 'CheckHostIP=no'],
        ...['-l', login, '--', name, ...words],
      ]);
    });
}

/** @returns its exit status */
async function runSsh(words: readonly string[]): Promise<number> {
  const child = spawn('ssh', words, { stdio: 'inherit' });
  const [status] = await once(child, 'exit').catch(error => {
    throw new CliError(`ssh cannot be run (${systemErrorCode(error)}); install openssh-client`, EXIT.failed);
  });
  return status ?? EXIT.failed;
}

/** As Firecracker and cloud-hypervisor have it: `CONNECT PORT`, then `OK …` and the guest's bytes. */
async function connectVsock(path: string): Promise<void> {
  const socket = connect(path);
  socket.write(`CONNECT ${SSH_PORT}\n`);
  const answer = await readLine(socket).catch(error => systemErrorCode(error) ?? 'unknown error');
  if (!answer.startsWith('OK ')) {
    const why = answer === '' ? 'the guest does not listen there' : answer;
    throw new CliError(
      `port ${SSH_PORT} of the guest, by ${path}: ${why}; it needs sshd, and systemd 256 or later`,
      EXIT.failed,
    );
  }
  process.stdin.pipe(socket).pipe(process.stdout);
  await once(socket, 'close');
}

/** Byte by byte, because what follows is the guest's. @returns without its end; what there is where the connection ends before */
function readLine(socket: Socket): Promise<string> {
  return new Promise((resolve, reject) => {
    let line = '';
    const read = () => {
      for (let byte = socket.read(1); byte !== null; byte = socket.read(1)) {
        if (byte[0] === NEWLINE) return end();
        line += byte.toString('latin1');
      }
    };
    const end = () => {
      socket.off('readable', read);
      resolve(line);
    };
    socket.on('readable', read).once('end', end).once('error', reject);
  });
}

const NEWLINE = 0x0a;
