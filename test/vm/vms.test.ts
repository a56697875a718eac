// VMs and their definitions: a VM that is worked on is kept, whatever its state says and becomes of its definition meanwhile.
import t, { type Test } from 'tap';
import type { Definition } from '../../src/definition/definition.js';
import type { Definitions } from '../../src/definition/definitions.js';
import type { Lifecycle } from '../../src/vm/lifecycle.js';
import type { Vm } from '../../src/vm/vm.js';
import { Vms } from '../../src/vm/vms.js';
import { defineVm, makeEvents, makeVm, runningVm } from './vm-for-test.js';

/** Definitions in memory, and lifecycles whose restart stops between its two halves. */
function makeVms(t: Test) {
  const declared = new Map<string, Definition>();
  const closed: Vm[] = [];
  const gate = makeGate();
  const events = makeEvents();
  const definitions = {
    problems: [],
    get: (name: string) => declared.get(name),
    list: () => [...declared.values()],
    load: async () => {},
    delete: async (name: string) => void declared.delete(name),
  } as unknown as Definitions;
  const build = (definition: Definition) => {
    const vm = makeVm(t.testdir(), definition, events);
    const refuse = () => Promise.reject(new Error('not asked for in this test'));
    const lifecycle: Lifecycle = {
      start: refuse,
      reboot: refuse,
      pause: refuse,
      resume: refuse,
      launches: undefined,
      kill: refuse,
      adopt: async () => {
        await gate.promise;
        vm.adopted(runningVm(vm), { startedAt: null, isPaused: false, ready: false, receipt: null });
      },
      stop: async () => {
        vm.transition('stop');
        vm.handleVmmExit({ status: 0, signal: null });
        vm.end();
      },
      restart: async () => {
        vm.transition('stop');
        vm.transition('ended');
        await gate.promise;
        vm.transition('start');
        vm.booted(runningVm(vm));
      },
      close: () => closed.push(vm),
    };
    return { vm, lifecycle };
  };
  return { vms: new Vms({ definitions, events, build }), declared, closed, gate };
}

async function beginRestart(t: Test) {
  const made = makeVms(t);
  made.declared.set('web', defineVm('web', {}));
  await made.vms.reload();
  const { vm, lifecycle } = made.vms.get('web');
  vm.transition('start');
  vm.booted(runningVm(vm));
  const restarted = lifecycle.restart();
  t.equal(vm.state, 'stopped');
  return { ...made, vm, lifecycle, restarted };
}

t.test('a VM that is restarted stays when a reload drops its definition', async t => {
  const { vms, declared, closed, gate, vm, lifecycle, restarted } = await beginRestart(t);
  declared.delete('web');
  await vms.reload();
  t.equal(vms.get('web').vm, vm);
  gate.resolve();
  await restarted;
  t.match(vms.get('web').vm, { state: 'running' });
  declared.set('web', defineVm('web', {}));
  await vms.reload();
  t.equal(vms.get('web').vm, vm, 'defined again it is the same VM');
  declared.delete('web');
  await vms.reload();
  await lifecycle.stop();
  t.throws(() => vms.get('web'), { code: 'vm_unknown' }, 'once it is down it goes');
  t.strictSame(closed, [vm]);
});

t.test('a VM that is restarted is not deleted, and keeps its supervisor until then', async t => {
  const { vms, declared, closed, gate, vm, restarted } = await beginRestart(t);
  await t.rejects(vms.delete('web'), {
    code: 'state_conflict',
    message: /is being started, stopped or restarted/,
  });
  declared.set('web', defineVm('web', { supervisor: 'unit', unit: 'web.service' }));
  await vms.reload();
  t.equal(vms.get('web').vm, vm);
  t.match(vm.definition, { supervisor: 'daemon' });
  gate.resolve();
  await restarted;
  t.strictSame(closed, []);
  await vms.get('web').lifecycle.stop();
  t.match(vms.get('web').vm.definition, { supervisor: 'unit' }, 'down, it has the other one');
});

t.test('what fails in a restart goes with its definition', async t => {
  const { vms, declared, gate, restarted } = await beginRestart(t);
  declared.delete('web');
  await vms.reload();
  gate.reject(new Error('no such secret'));
  await t.rejects(restarted);
  t.throws(() => vms.get('web'), { code: 'vm_unknown' });
});

t.test('once a VM goes down by itself, its new supervisor has it before anybody asks for it', async t => {
  const { vms, declared, closed } = makeVms(t);
  declared.set('web', defineVm('web', {}));
  await vms.reload();
  const { vm } = vms.get('web');
  vm.transition('start');
  vm.booted(runningVm(vm));
  declared.set('web', defineVm('web', { supervisor: 'unit', unit: 'web.service' }));
  await vms.reload();
  vm.handleVmmExit({ status: 0, signal: null });
  vm.end();
  t.equal(vms.get('web').vm, vm, 'to get a VM changes nothing');
  await new Promise(resolve => setImmediate(resolve));
  t.match(vms.get('web').vm.definition, { supervisor: 'unit' });
  t.strictSame(closed, [vm]);
});

function makeGate() {
  let resolve = () => {};
  let reject = (_error: Error) => {};
  const promise = new Promise<void>((open, fail) => {
    resolve = open;
    reject = fail;
  });
  return { promise, resolve: () => resolve(), reject: (error: Error) => reject(error) };
}

t.test('a VM that is being taken over stays with who runs it, whatever is read meanwhile', async t => {
  const { vms, declared, closed, gate } = makeVms(t);
  declared.set('web', defineVm('web', { supervisor: 'unit' }));
  await vms.reload();
  const { vm, lifecycle } = vms.get('web');
  const adopted = lifecycle.adopt();
  declared.set('web', defineVm('web', { supervisor: 'daemon' }));
  await vms.reload();
  t.equal(vms.get('web').vm, vm);
  gate.resolve();
  await adopted;
  t.match(vms.get('web').vm, { state: 'running', definition: { supervisor: 'unit' } });
  t.same(closed, []);
});

t.test('a reload waits for the recovery of what an earlier daemon started', async t => {
  const { vms, declared, gate } = makeVms(t);
  const recovery = vms.exclusively(() => gate.promise);
  declared.set('web', defineVm('web', {}));
  const reloaded = vms.reload();
  await new Promise(resolve => setImmediate(resolve));
  t.equal(vms.find('web'), undefined);
  gate.resolve();
  await Promise.all([recovery, reloaded]);
  t.ok(vms.find('web'));
});
