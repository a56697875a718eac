// What goes on while an operator waits: a spinner on a terminal; of VMs that are waited for, a line for each change elsewhere.

import { setTimeout as delay } from 'node:timers/promises';
import { isVmList } from './answer-checks.js';
import { understand, type VmAnswer } from './answers.js';
import type { Client } from './client.js';

type Output = Pick<NodeJS.WriteStream, 'write' | 'isTTY' | 'columns'>;

export interface ProgressOptions<Result> {
  client: Pick<Client, 'call'>;
  names: readonly string[];
  output: Output;
  work: Promise<Result>;
}

/** How often the daemon is asked. */
const LOOK_MS = 500;
const FRAME_MS = 100;
/** What is done sooner needs no spinner. */
const BEFORE_FIRST_FRAME_MS = 300;
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

/** @param what "checking web" @returns what the work gives */
export async function showBusy<Result>(what: string, work: Promise<Result>, output: Output): Promise<Result> {
  if (!output.isTTY) return work;
  const done = new AbortController();
  spinner(output, done.signal)(new Map([['', what]]));
  return work.finally(() => done.abort());
}

type Show = (texts: ReadonlyMap<string, string>) => void;

async function look(
  { client, names, output }: ProgressOptions<unknown>,
  show: Show,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const answer = await client.call('GET', '/v1/vms').catch(() => ({ vms: [], problems: [] }));
    if (signal.aborted) return;
    const { vms } = understand(answer, isVmList);
    show(
      new Map(
        vms.filter(({ name }) => names.includes(name)).map(vm => [vm.name, describe(vm, output.isTTY)]),
      ),
    );
    await delay(LOOK_MS, undefined, { signal }).catch(() => {});
  }
}

const STEPS: Readonly<Record<string, string>> = {
  'power-button': 'power button',
  shutdown: 'VMM shuts down',
};

/** @param hasClock whether what is shown is drawn again as time goes by */
function describe({ state, ready, guestStatus, stopStep }: VmAnswer, hasClock: boolean): string {
  if (stopStep !== null) {
    const { step, at, timeoutSeconds } = stopStep;
    const name = STEPS[step] ?? step;
    if (timeoutSeconds === null) return `${state}, ${name}`;
    const waited = Math.min(timeoutSeconds, Math.max(0, Math.floor((Date.now() - Date.parse(at)) / 1000)));
    return `${state}, ${name}, ${hasClock ? `${waited} of ` : 'at most '}${timeoutSeconds} s`;
  }
  const readiness = state !== 'running' ? '' : ready ? ', ready' : ', not ready yet';
  return `${state}${readiness}${guestStatus === null ? '' : `: ${guestStatus}`}`;
}

function lines(output: Output): Show {
  const shown = new Map<string, string>();
  return texts => {
    for (const [name, text] of texts) {
      if (shown.get(name) === text) continue;
      shown.set(name, text);
      output.write(`${name}: ${text}\n`);
    }
  };
}

function spinner(output: Output, signal: AbortSignal): Show {
  let text = '';
  let frame = 0;
  const beganAt = performance.now();
  let isDrawn = false;
  const draw = () => {
    const waitedMs = performance.now() - beganAt;
    if (waitedMs < BEFORE_FIRST_FRAME_MS) return;
    const seconds = Math.floor(waitedMs / 1000);
    isDrawn = true;
    const line = `${FRAMES[frame++ % FRAMES.length]} ${seconds} s  ${text}`;
    output.write(`\r${line.slice(0, (output.columns || COLUMNS) - 1)}\x1b[K`);
  };
  const timer = setInterval(draw, FRAME_MS);
  signal.addEventListener('abort', () => {
    clearInterval(timer);
    if (isDrawn) output.write('\r\x1b[K');
  });
  return texts => {
    text = [...texts].map(([name, said]) => (name === '' ? said : `${name}: ${said}`)).join('; ');
    draw();
  };
}
