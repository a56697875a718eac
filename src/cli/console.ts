// console: the serial console, interactive where the socket allows input.
import type { IncomingMessage } from 'node:http';
import type { Command } from 'commander';
import { printableConsoleLine } from '../system/printable.js';
import { CliError, type Client, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';

/** Ctrl-], as telnet and virsh have it. */
const ESCAPE = 0x1d;

export function addConsoleCommand(program: Command): void {
  program
    .command('console')
    .argument('<name>')
    .option('--no-follow', 'print what there is, and end; on a terminal without escape sequences')
    .description('the serial console, raw; Ctrl-] leaves it')
    .action(async (name: string, options: { follow: boolean }, command: Command) => {
      const { client } = contextOf(command);
      const output = await client.stream(vmPath(name, `/console?follow=${options.follow}`));
      const ended = untilEnded(name, output);
      if (!options.follow && process.stdout.isTTY)
        return void process.stdout.write(await readCleaned(output, ended));
      if (process.stdout.isTTY) process.stderr.write(RAW);
      output.pipe(process.stdout);
      const isInteractive = options.follow && process.stdin.isTTY;
      const leaveRawMode = isInteractive ? typeInto(name, client, () => output.destroy()) : () => {};
      await ended.finally(leaveRawMode);
    });
}

/** A guest that wants to redraw a terminal, or to type into it, can: a serial console is for that. */
const RAW = 'raw: escape sequences of the guest reach this terminal\r\n';

/** Line by line, without escape sequences. */
async function readCleaned(output: IncomingMessage, ended: Promise<void>): Promise<string> {
  const pieces: Buffer[] = [];
  output.on('data', bytes => pieces.push(bytes));
  await ended;
  const lines = Buffer.concat(pieces).toString('utf8').split(/\r*\n/);
  return lines.map(printableConsoleLine).join('\n');
}

/** @throws CliError where the daemon is gone */
function untilEnded(name: string, output: IncomingMessage): Promise<void> {
  return new Promise((resolve, reject) => {
    output.once('close', resolve);
    output.once('error', () =>
      reject(new CliError(`the console of ${name} was cut off: the daemon is gone`, EXIT.notReached)),
    );
  });
}

/** @returns what gives the terminal back */
function typeInto(name: string, client: Client, onLeave: () => void): () => void {
  const { stdin } = process;
  stdin.setRawMode(true);
  process.stderr.write(`Connected to ${name}; Ctrl-] leaves.\r\n`);
  // One after another: keys arrive in the order in which they were pressed.
  let sending: Promise<unknown> = Promise.resolve();
  const send = (bytes: Buffer) => {
    sending = sending
      .then(() => client.send(vmPath(name, '/console'), bytes))
      .catch(error => process.stderr.write(`${error.message}\r\n`));
  };
  stdin.on('data', (bytes: Buffer) => {
    const at = bytes.indexOf(ESCAPE);
    if (at !== 0) send(at < 0 ? bytes : bytes.subarray(0, at));
    if (at >= 0) void sending.then(onLeave);
  });
  return () => {
    stdin.setRawMode(false);
    stdin.pause();
  };
}
