// What VMs are doing while somebody waits for them: a spinner on a terminal, a line for each change elsewhere.
import { setTimeout as delay } from 'node:timers/promises';
import type { VmView } from '../vm/vm.js';
import type { Client } from './client.js';

export interface ProgressOptions<Result> {
  client: Pick<Client, 'call'>;
  names: readonly string[];
  output: Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;
  work: Promise<Result>;
}

/** How often the daemon is asked. */
const LOOK_MS = 500;
const FRAME_MS = 100;
const FRAMES = ['-', '\\', '|', '/'];
/** Where a terminal does not tell its width, or tells 0. */
const COLUMNS = 80;

/** @returns what the work gives; looking never fails it */
export async function showProgress<Result>(options: ProgressOptions<Result>): Promise<Result> {
  const { output, work } = options;
  const done = new AbortController();
  const show = output.isTTY ? spinner(output, done.signal) : lines(output);
  const looking = look(options, show, done.signal);
  try {
    return await work;
  } finally {
    done.abort();
    await looking;
  }
}

type Show = (texts: ReadonlyMap<string, string>) => void;

async function look(
  { client, names }: ProgressOptions<unknown>,
  show: Show,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const answer = await client.call('GET', '/v1/vms').catch(() => ({ vms: [] }));
    if (signal.aborted) return;
    const { vms } = answer as { vms: VmView[] };
    show(new Map(vms.filter(({ name }) => names.includes(name)).map(vm => [vm.name, describe(vm)])));
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

function describe({ state, ready, guestStatus }: VmView): string {
  const readiness = state !== 'running' ? '' : ready ? ', ready' : ', not ready yet';
  return `${state}${readiness}${guestStatus === null ? '' : `: ${guestStatus}`}`;
}

function lines(output: ProgressOptions<unknown>['output']): Show {
  const shown = new Map<string, string>();
  return texts => {
    for (const [name, text] of texts) {
      if (shown.get(name) === text) continue;
      shown.set(name, text);
      output.write(`${name}: ${text}\n`);
    }
  };
}

function spinner(output: ProgressOptions<unknown>['output'], signal: AbortSignal): Show {
  let text = '';
  let frame = 0;
  const beganAt = performance.now();
  const draw = () => {
    const seconds = Math.floor((performance.now() - beganAt) / 1000);
    const line = `${FRAMES[frame++ % FRAMES.length]} ${seconds} s  ${text}`;
    output.write(`\r${line.slice(0, (output.columns || COLUMNS) - 1)}\x1b[K`);
  };
  const timer = setInterval(draw, FRAME_MS);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    output.write('\r\x1b[K');
  });
  return texts => {
    text = [...texts].map(([name, said]) => `${name}: ${said}`).join('; ');
    draw();
  };
}
