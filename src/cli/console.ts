// console and logs: the serial console, interactive where the socket allows input.

import type { IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { Command } from 'commander';
import { printableConsoleLine } from '../system/printable.js';
import { isLive } from '../vm/state.js';
import { isVm } from './answer-checks.js';
import { understand } from './answers.js';
import { CliError, type Client, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';

/** Ctrl-], as telnet and virsh have it. */
const ESCAPE = 0x1d;

export function addConsoleCommands(program: Command): void {
  program
    .command('console')
    .aliases(['attach'])
    .argument('<name>')
    .option('--no-follow', 'print what there is, and end; on a terminal without escape sequences')
    .description('the serial console, raw; Ctrl-] leaves it')
    .action((name: string, { follow }: { follow: boolean }, command: Command) =>
      showConsole(name, follow, contextOf(command).client),
    );
  program
    .command('logs')
    .argument('<name>')
    .option('-f, --follow', 'and what it prints from now on, until Ctrl-C')
    .option('-n, --tail <lines>', 'only its last lines', parseCount)
    .description('print what the serial console printed')
    .action(async (name: string, options: { follow?: boolean; tail?: number }, command: Command) => {
      const { client } = contextOf(command);
      if (options.follow) return showConsole(name, true, client, { typing: false });
      return showConsole(name, false, client, options);
    });
}

function parseCount(text: string): number {
  if (/^\d{1,6}$/.test(text)) return Number(text);
  throw new CliError(`--tail takes a number of lines, not "${text}"`, EXIT.usedWrongly);
}

async function showConsole(
  name: string,
  follow: boolean,
  client: Client,
  { typing = true, tail }: { typing?: boolean; tail?: number } = {},
): Promise<void> {
  const { state } = understand(await client.call('GET', vmPath(name)), isVm);
  const output = await client.stream(vmPath(name, `/console?follow=${follow}`));
  const ended = untilEnded(name, output);
  if (!isUp(state)) process.stderr.write(`VM ${name} is ${state}; ${follow ? WAITS : LAST}\n`);
  if (!follow && (process.stdout.isTTY || tail !== undefined)) {
    const lines = (await readBytes(output, ended)).toString('utf8').split(/\r*\n/);
    const shown = tail === undefined ? lines : lastLines(lines, tail);
    const clean = process.stdout.isTTY ? shown.map(printableConsoleLine) : shown;
    process.stdout.write(clean.join('\n'));
    return;
  }
  if (process.stdout.isTTY) process.stderr.write(RAW);
  output.pipe(process.stdout);
  if (!follow) return ended;
  const news = process.stdout.isTTY ? await followStates(name, client) : undefined;
  const isInteractive = typing && process.stdin.isTTY;
  const leaveRawMode = isInteractive ? typeInto(name, client, () => output.destroy()) : () => {};
  await ended.finally(() => {
    news?.destroy();
    leaveRawMode();
  });
}

const isUp = (state: string) => isLive(state) || state === 'starting';
const WAITS = 'its console goes on when it is started';
const LAST = 'this is what its last run printed';

/** A guest that wants to redraw a terminal, or to type into it, can: a serial console is for that. */
const RAW = 'raw: escape sequences of the guest reach this terminal\r\n';

/** The line that is not ended yet counts as one. */
function lastLines(lines: readonly string[], count: number): string[] {
  const isEnded = lines.at(-1) === '';
  const all = isEnded ? lines.slice(0, -1) : lines;
  return [...all.slice(all.length - Math.min(count, all.length)), ...(isEnded && count > 0 ? [''] : [])];
}

async function readBytes(output: IncomingMessage, ended: Promise<void>): Promise<Buffer> {
  const pieces: Buffer[] = [];
  output.on('data', bytes => pieces.push(bytes));
  await ended;
  return Buffer.concat(pieces);
}

/** A guest that has ended prints nothing of it. */
async function followStates(name: string, client: Client): Promise<IncomingMessage> {
  const events = await client.stream(`/v1/events?vm=${encodeURIComponent(name)}`);
  let type = '';
  const lines = createInterface({ input: events });
  lines.on('line', line => {
    if (line.startsWith('event: ')) type = line.slice(7);
    if (type !== 'state' || !line.startsWith('data: ')) return;
    process.stderr.write(`\r\n[VM ${name} is ${JSON.parse(line.slice(6)).state}]\r\n`);
  });
  // Its end is the console's, too.
  lines.on('error', () => {});
  events.on('error', () => {});
  return events;
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
