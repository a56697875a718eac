// The real lifecycle against VMMs in memory: first one request after the other, against a model; then in overlap.
import fs, { existsSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import fc from 'fast-check';
import pLimit from 'p-limit';
import t, { type Test } from 'tap';
import { type ErrorCode, VmsecretdError } from '../../../src/errors.js';
import { DaemonLifecycle } from '../../../src/supervisor/daemon/daemon-lifecycle.js';
import type { LifecycleVerb } from '../../../src/vm/lifecycle.js';
import { isLive, nextState, VM_STATES, type VmEvent, type VmState } from '../../../src/vm/state.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { MemoryHost, type StartFault } from '../../vm/memory-vmm.js';
import { defineVm, makeEvents, makeRecords, makeVm, recordPath } from '../../vm/vm-for-test.js';

const numRuns = Number(process.env.VMSECRETD_ROUNDS ?? 100);
const seed = Number(process.env.VMSECRETD_SEED ?? Date.now() % 2 ** 31);
t.comment(`seed ${seed}`);

const VERBS: readonly LifecycleVerb[] = ['start', 'stop', 'kill', 'restart', 'pause', 'resume', 'reboot'];
const START_FAULTS: readonly StartFault[] = ['secrets', 'spawn', 'create', 'crash'];
type Happening = 'guest powers off' | 'VMM crashes' | 'VMM goes deaf';
type Action = LifecycleVerb | Happening | `next start: ${StartFault}`;

const anyAction: fc.Arbitrary<Action> = fc.oneof(
  { weight: 6, arbitrary: fc.constantFrom(...VERBS) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<Happening[]>('guest powers off', 'VMM crashes', 'VMM goes deaf'),
  },
  { weight: 2, arbitrary: fc.constantFrom(...START_FAULTS).map(fault => `next start: ${fault}` as const) },
);
const anyDelays = fc.array(fc.nat(6), { minLength: 1, maxLength: 20 });

const EVENTS: readonly VmEvent[] = [
  ...['start', 'booted', 'start-failed', 'stop', 'pause', 'resume', 'ended', 'broke', 'adopted'],
] as VmEvent[];

function isLegal(from: unknown, to: unknown): boolean {
  return VM_STATES.some(state => state === from && EVENTS.some(event => nextState(state, event) === to));
}

function makeSubject(t: Test, delays: readonly number[]) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('my-app', { restart: 'no' }), events);
  const illegal: string[] = [];
  events.subscribe(({ type, from, state }) => {
    if (type === 'state' && !isLegal(from, state)) illegal.push(`${from} to ${state}`);
  });
  const host = new MemoryHost(delays);
  const record = recordPath(folder, 'my-app.json');
  const lifecycle = new DaemonLifecycle(vm, {
    records: makeRecords(folder, events, () => vm),
    startTools: () => host.startTools(),
    startLimit: pLimit(1),
    resolveOwner: async () => undefined,
    prepareDirectory: () => host.pass(),
    spawnVmm: (_definition, _plan, _owner, signal) => host.spawn(signal),
  });
  return { vm, host, lifecycle, illegal, record };
}

type Subject = ReturnType<typeof makeSubject>;

/** @returns the code of the problem, or undefined when it went well */
async function act({ host, lifecycle }: Subject, action: Action): Promise<ErrorCode | undefined> {
  const [vmm] = [...host.live];
  if (action === 'guest powers off') await vmm?.end({ status: 0, signal: null });
  else if (action === 'VMM crashes') await vmm?.end({ status: null, signal: 'SIGSEGV' });
  else if (action === 'VMM goes deaf') {
    if (vmm !== undefined) vmm.isDeaf = true;
  } else if (action.startsWith('next start: ')) host.nextFaults.push(action.slice(12) as StartFault);
  else {
    return lifecycle[action as LifecycleVerb]().then(
      () => undefined,
      error => {
        if (error instanceof VmsecretdError) return error.code;
        throw error;
      },
    );
  }
  return undefined;
}

/** What was begun comes to its end, and then state, VMM and record say the same. */
async function settle({ vm, host, record }: Subject): Promise<void> {
  const agrees = () => {
    const [vmm] = [...host.live];
    const isRunning = isLive(vm.state) && vm.running !== undefined && (vm.running.vmm as unknown) === vmm;
    const isDown = !isLive(vm.state) && vm.state !== 'starting' && vm.running === undefined;
    const isThere = host.live.size === 1 ? isRunning : isDown;
    return host.ends === 0 && isThere && existsSync(record) === (host.live.size === 1);
  };
  const deadline = Date.now() + 60_000;
  while (!agrees()) {
    if (Date.now() > deadline) {
      throw new Error(
        `state ${vm.state}, ${host.live.size} VMMs, record ${existsSync(record)}, running ${vm.running?.vmm.pid}`,
      );
    }
    await new Promise(resolve => setImmediate(resolve));
  }
}

interface Model {
  state: Extract<VmState, 'stopped' | 'running' | 'paused' | 'failed'>;
  isDeaf: boolean;
  faults: StartFault[];
}

const FAULT_CODES: Record<StartFault, ErrorCode> = {
  secrets: 'secret_missing',
  spawn: 'vmm_missing',
  create: 'vmm_refused',
  crash: 'vmm_refused',
};

/** What design.md says becomes of it. @returns the code of the problem to expect */
function predict(model: Model, action: Action): ErrorCode | undefined {
  const { state } = model;
  const isUp = state === 'running' || state === 'paused';
  const start = (): ErrorCode | undefined => {
    // The faults that lie ahead hit in the order of a start's steps.
    const fault = START_FAULTS.find(fault => model.faults.includes(fault));
    // The VMM is spawned while secrets are opened, and told only where these are fine.
    const hits = START_FAULTS.filter(hit => hit === fault || (hit === 'spawn' && fault === 'secrets'));
    for (const hit of hits) if (model.faults.includes(hit)) model.faults.splice(model.faults.indexOf(hit), 1);
    model.state = fault === undefined ? 'running' : 'failed';
    model.isDeaf = false;
    return fault === undefined ? undefined : FAULT_CODES[fault];
  };
  if (action === 'start') {
    if (state === 'paused') return 'state_conflict';
    return state === 'running' ? undefined : start();
  }
  if (action === 'restart') {
    if (!isUp || !model.faults.includes('secrets')) return start();
    model.faults.splice(model.faults.indexOf('secrets'), 1);
    return FAULT_CODES.secrets;
  }
  if (action === 'stop' || action === 'kill') model.state = 'stopped';
  if (action === 'pause' || action === 'resume' || action === 'reboot') {
    const wanted = action === 'resume' ? 'paused' : 'running';
    const after = { pause: 'paused', resume: 'running', reboot: 'running' }[action] as Model['state'];
    if (state === after && action !== 'reboot') return undefined;
    if (state !== wanted) return 'state_conflict';
    if (model.isDeaf) return 'vmm_refused';
    model.state = after;
  }
  if (action === 'guest powers off' && isUp) model.state = 'stopped';
  if (action === 'VMM crashes' && isUp) model.state = 'failed';
  if (action === 'VMM goes deaf' && isUp) model.isDeaf = true;
  if (action.startsWith('next start: ')) model.faults.push(action.slice(12) as StartFault);
  return undefined;
}

t.test('one request after the other does what the model says', async t => {
  await fc.assert(
    fc.asyncProperty(fc.array(anyAction, { maxLength: 25 }), anyDelays, async (actions, delays) => {
      const subject = makeSubject(t, delays);
      const model: Model = { state: 'stopped', isDeaf: false, faults: [] };
      for (const action of actions) {
        const expected = predict(model, action);
        const code = await act(subject, action);
        await settle(subject);
        // A crash may come just after the guest was started: then the start was a success.
        const isLateCrash = code === undefined && expected === 'vmm_refused' && model.state === 'failed';
        if (subject.vm.state !== model.state || (code !== expected && !isLateCrash)) {
          throw new Error(`${action}: ${subject.vm.state}, ${code}; model: ${model.state}, ${expected}`);
        }
      }
      if (subject.illegal.length > 0) throw new Error(`illegal: ${subject.illegal}`);
    }),
    { numRuns, seed },
  );
});

t.test('in overlap: never two VMMs, every request settles, and in the end all agree', async t => {
  const anyStep = fc.record({ action: anyAction, gap: fc.nat(8) });
  await fc.assert(
    fc.asyncProperty(fc.array(anyStep, { maxLength: 25 }), anyDelays, async (steps, delays) => {
      const subject = makeSubject(t, delays);
      const outcomes: Promise<unknown>[] = [];
      for (const { action, gap } of steps) {
        outcomes.push(act(subject, action));
        for (let turn = 0; turn < gap; turn += 1) await new Promise(resolve => setImmediate(resolve));
      }
      await withDeadline(Promise.all(outcomes), () => `not settled: ${JSON.stringify(steps)}`);
      await settle(subject);
      subject.host.nextFaults.length = 0;
      await withDeadline(subject.lifecycle.kill(), () => 'kill does not settle');
      await settle(subject);
      if (subject.vm.state !== 'stopped') throw new Error(`after kill: ${subject.vm.state}`);
      if (subject.host.hadTwo) throw new Error('two VMMs at once');
      if (subject.illegal.length > 0) throw new Error(`illegal: ${subject.illegal}`);
    }),
    { numRuns, seed },
  );
});

t.test('what is asked while the record of a VMM that ended is removed leaves none', async t => {
  const { rm } = fs.promises;
  const replaceRm = (replacement: typeof rm) => {
    fs.promises.rm = replacement;
    syncBuiltinESMExports();
  };
  t.teardown(() => replaceRm(rm));
  for (const verb of ['reboot', 'pause'] as const) {
    const subject = makeSubject(t, [0]);
    await act(subject, 'start');
    let asked: Promise<unknown> | undefined;
    replaceRm(async (path, options) => {
      if (path === subject.record) asked ??= act(subject, verb);
      await rm(path, options);
    });
    await act(subject, 'guest powers off');
    await settle(subject);
    t.not(asked, undefined);
    await asked;
    await settle(subject);
    replaceRm(rm);
  }
});

async function withDeadline(work: Promise<unknown>, describe: () => string): Promise<void> {
  let deadline: NodeJS.Timeout | undefined;
  const late = new Promise((_resolve, reject) => {
    deadline = setTimeout(() => reject(new Error(describe())), 60_000);
  });
  try {
    await Promise.race([work, late]);
  } finally {
    clearTimeout(deadline);
  }
}
