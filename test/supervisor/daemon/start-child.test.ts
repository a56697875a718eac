import t, { type Test } from 'tap';
import { VmsecretdError } from '../../../src/errors.js';
import type { VmPlan } from '../../../src/hypervisor/hypervisor.js';
import { type StartChildTools, startChild } from '../../../src/supervisor/daemon/start-child.js';
import { socketFolder } from '../../setup/socket-folder.js';
import { MemoryHost } from '../../vm/memory-vmm.js';
import { defineVm, makeEvents, makeRecords, makeVm } from '../../vm/vm-for-test.js';

interface Subject {
  definition?: Record<string, unknown>;
  waitsForVm?: VmPlan['waitsForVm'];
  /** Of the secrets and of the VMM, each with the code of its error. */
  fails?: { secrets?: 'secret_missing'; spawn?: 'vmm_missing' };
}

/** A start of which each half waits until the test lets it go on. */
function makeStart(t: Test, { definition = {}, waitsForVm = true, fails = {} }: Subject = {}) {
  const folder = socketFolder(t);
  const vm = makeVm(folder, defineVm('my-app', definition));
  const host = new MemoryHost([1]);
  const secrets = makeGate(fails.secrets);
  const vmm = makeGate(fails.spawn);
  const abort = new AbortController();
  const shared = host.startTools();
  const tools: StartChildTools = {
    records: makeRecords(folder, makeEvents(), () => vm),
    startTools: () => ({
      ...shared,
      hypervisor: {
        ...shared.hypervisor,
        plan: async (...given) => ({ ...(await shared.hypervisor.plan(...given)), waitsForVm }),
      },
      deliverers: {
        ...shared.deliverers,
        prepare: async (_preparation, signal) => {
          await secrets.pass(signal);
          return host.prepare(signal);
        },
      },
    }),
    resolveOwner: async () => undefined,
    prepareDirectory: async () => {},
    spawnVmm: async (_definition, _plan, _owner, signal) => {
      await vmm.pass(signal);
      return host.spawn(signal);
    },
  };
  const outcome = startChild(vm, tools, abort.signal).then(
    () => 'running',
    error => (error as VmsecretdError).code ?? (error as Error).message,
  );
  return { host, secrets, vmm, abort, outcome };
}

/** Settles `reached` when somebody comes to it, and lets it pass once it is open. */
function makeGate(code?: 'secret_missing' | 'vmm_missing') {
  let open = () => {};
  const opened = new Promise<void>(resolve => {
    open = resolve;
  });
  let reach = () => {};
  const gate = {
    open,
    isReached: false,
    reached: new Promise<void>(resolve => {
      reach = resolve;
    }),
    pass: async (signal: AbortSignal) => {
      gate.isReached = true;
      reach();
      await Promise.race([
        opened,
        new Promise<void>(resolve => signal.addEventListener('abort', () => resolve())),
      ]);
      signal.throwIfAborted();
      if (code !== undefined) throw new VmsecretdError(code, code);
    },
  };
  return gate;
}

t.test('the VMM is spawned while secrets are opened', async t => {
  const { host, secrets, vmm, outcome } = makeStart(t);
  await Promise.all([secrets.reached, vmm.reached]);
  vmm.open();
  secrets.open();
  t.equal(await outcome, 'running');
  t.equal(host.live.size, 1);
});

t.test('of a start whose secret is missing no VMM is left, whichever of the two comes first', async t => {
  for (const first of ['secrets', 'vmm'] as const) {
    const start = makeStart(t, { fails: { secrets: 'secret_missing' } });
    await Promise.all([start.secrets.reached, start.vmm.reached]);
    start[first].open();
    await new Promise(resolve => setImmediate(resolve));
    start.secrets.open();
    start.vmm.open();
    t.equal(await start.outcome, 'secret_missing', first);
    t.equal(start.host.live.size, 0);
  }
});

t.test('a VMM that cannot be spawned is told, unless a secret is missing, too', async t => {
  for (const [secretsFail, code] of [
    [undefined, 'vmm_missing'],
    ['secret_missing', 'secret_missing'],
  ] as const) {
    const start = makeStart(t, {
      fails: { spawn: 'vmm_missing', ...(secretsFail && { secrets: secretsFail }) },
    });
    start.vmm.open();
    await start.secrets.reached;
    start.secrets.open();
    t.equal(await start.outcome, code);
  }
});

t.test('a start that is interrupted leaves no VMM, whatever it waits for', async t => {
  for (const isOpen of ['secrets', 'vmm', undefined] as const) {
    const start = makeStart(t);
    await Promise.all([start.secrets.reached, start.vmm.reached]);
    if (isOpen !== undefined) start[isOpen].open();
    await new Promise(resolve => setImmediate(resolve));
    start.abort.abort(new Error('interrupted'));
    t.equal(await start.outcome, 'interrupted');
    t.equal(start.host.live.size, 0);
  }
});

t.test('a preStart, and a VMM that boots as it is started, wait for the secrets', async t => {
  const afterSecrets: Subject[] = [{ definition: { preStart: [['true']] } }, { waitsForVm: false }];
  for (const subject of afterSecrets) {
    const { secrets, vmm, outcome } = makeStart(t, subject);
    await secrets.reached;
    await new Promise(resolve => setTimeout(resolve, 20));
    t.equal(vmm.isReached, false);
    secrets.open();
    vmm.open();
    t.equal(await outcome, 'running');
  }
});
