// run: a VM in the foreground, for schedulers and supervisors that know processes.

import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import { setTimeout as delay } from 'node:timers/promises';
import type { Command } from 'commander';
import { fieldOf } from '../json-field.js';
import { isVm } from './answer-checks.js';
import { understand, type VmAnswer } from './answers.js';
import { CliError, type Client, EXIT } from './client.js';
import { contextOf, vmPath } from './context.js';
import { nameFile, readDefinition } from './define.js';

/** As a shell tells that a program was ended by a signal. */
const SIGNAL_STATUS: Readonly<Record<string, number>> = {
  SIGTERM: 143,
  SIGKILL: 137,
  SIGABRT: 134,
  SIGSEGV: 139,
};
const STOP_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

export function addRunCommand(program: Command): void {
  program
    .command('run')
    .argument('<name>')
    .argument('[file]', 'definition of a new VM, with --rm; standard input unless given')
    .option('--rm', 'define the VM, and delete it once it has ended')
    .description(
      'run a VM in the foreground: its console is printed, SIGTERM stops it, and its exit status is the guest’s',
    )
    .action(async (name: string, file: string | undefined, { rm }: { rm?: boolean }, command: Command) => {
      const { client } = contextOf(command);
      if (file !== undefined && !rm)
        throw new CliError('run: a definition is for --rm; keep one with define', EXIT.usedWrongly);
      if (rm) await defineNew(name, file ?? '-', client);
      try {
        process.exitCode = await runVm(name, client);
      } finally {
        if (rm) await client.call('DELETE', vmPath(name));
      }
    });
}

/** @throws CliError where there is such a VM: it would be deleted */
async function defineNew(name: string, file: string, client: Client): Promise<void> {
  const definition = await readDefinition(file);
  await client.call('PUT', vmPath(name), definition, { 'if-none-match': '*' }).catch(error => {
    throw nameFile(error, file === '-' ? 'standard input' : file);
  });
}

/** @returns the status to exit with */
async function runVm(name: string, client: Client): Promise<number> {
  // Before the start: what happens to the VM after it is an event.
  const events = await client.stream(`/v1/events?vm=${encodeURIComponent(name)}`);
  const ended = untilDown(name, client, events);
  ended.catch(() => {});
  const stopListening = stopOnSignals(name, client);
  try {
    await client.wait('POST', vmPath(name, '/start'));
    const console = await client.stream(vmPath(name, '/console?follow=true')).catch(() => undefined);
    let printedBytes = 0;
    console?.on('data', bytes => {
      printedBytes += bytes.length;
      process.stdout.write(bytes);
    });
    console?.on('error', () => {});
    const vm = await ended;
    if (console !== undefined) await printRest(name, client, console, () => printedBytes);
    return exitStatusOf(vm);
  } finally {
    stopListening();
    events.destroy();
  }
}

/** @returns what ends it. The first signal asks the guest, the second ends its VMM. */
function stopOnSignals(name: string, client: Client): () => void {
  let signals = 0;
  const stop = () => {
    signals += 1;
    const verb = signals === 1 ? 'stop' : 'kill';
    client.wait('POST', vmPath(name, `/${verb}`)).catch(error => {
      process.stderr.write(`vmsecretctl: ${error.message}\n`);
    });
  };
  for (const signal of STOP_SIGNALS) process.on(signal, stop);
  return () => {
    for (const signal of STOP_SIGNALS) process.off(signal, stop);
  };
}

/** Settles once the VM was up and is down, and nothing starts it again. */
async function untilDown(name: string, client: Client, events: Readable): Promise<VmAnswer> {
  const lines = createInterface({ input: events });
  events.once('close', () => lines.close());
  let wasUp = false;
  try {
    for await (const line of lines) {
      if (!line.startsWith('data: ')) continue;
      const state = fieldOf(JSON.parse(line.slice(6)), 'state');
      wasUp ||= state === 'running';
      const vm = understand(await client.call('GET', vmPath(name)), isVm);
      wasUp ||= vm.startedAt !== null;
      const isDown = vm.state === 'stopped' || vm.state === 'failed';
      if (wasUp && isDown && vm.nextAttemptAt === null) return vm;
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    // The stream was cut.
  }
  throw new CliError(`VM ${name} runs on without vmsecretctl run: the daemon is gone`, EXIT.notReached);
}

/** How long what is on its way to us may take before it is asked for. */
const ON_ITS_WAY_MS = 200;

/** What the daemon has of the console and we have not printed: a console that is followed does not end with the VM. */
async function printRest(
  name: string,
  client: Client,
  console: Readable,
  printedBytes: () => number,
): Promise<void> {
  await delay(ON_ITS_WAY_MS);
  console.destroy();
  const all = await buffer(await client.stream(vmPath(name, '/console?follow=false')));
  // Of more than it keeps, what is followed was printed long before.
  process.stdout.write(all.subarray(Math.min(printedBytes(), all.length)));
}

function exitStatusOf({ lastExit, state }: VmAnswer): number {
  if (lastExit === null) return EXIT.failed;
  const { guestStatus, signal, status } = lastExit;
  if (signal !== null) return SIGNAL_STATUS[signal] ?? 128;
  return guestStatus ?? status ?? (state === 'failed' ? EXIT.failed : EXIT.done);
}
