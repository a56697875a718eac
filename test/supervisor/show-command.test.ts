import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import t, { type Test } from 'tap';
import type { VmPlan } from '../../src/hypervisor/hypervisor.js';
import { showCommand } from '../../src/supervisor/show-command.js';
import { socketFolder } from '../setup/socket-folder.js';
import { MemoryHost } from '../vm/memory-vmm.js';
import { defineVm, makeVm } from '../vm/vm-for-test.js';

const KERNEL = ['--kernel', '/definition'];
const LAUNCHERS = ['--kernel', '/launcher'];

/** What is shown of a VM that an earlier daemon started, so that no plan of it is left. */
async function shownCommand(t: Test, declared: object, launchers?: readonly string[]): Promise<unknown> {
  const vm = makeVm(socketFolder(t), defineVm('web', { command: undefined, ...declared }));
  mkdirSync(dirname(vm.paths.launcherCommand), { recursive: true });
  if (launchers !== undefined)
    writeFileSync(vm.paths.launcherCommand, launchers.map(word => `${word}\0`).join(''));
  const tools = new MemoryHost([1]).startTools();
  const plan: typeof tools.hypervisor.plan = async (definition, { command = definition.command }) =>
    ({ view: () => ({ command, arguments: [], vmConfig: null }) }) as unknown as VmPlan;
  return (await showCommand(vm, { ...tools, hypervisor: { ...tools.hypervisor, plan } })).command;
}

t.test('what the launcher was given is shown, whatever the definition says', async t => {
  t.same(await shownCommand(t, { supervisor: 'unit', command: KERNEL }, LAUNCHERS), LAUNCHERS);
  t.same(await shownCommand(t, { supervisor: 'unit' }, LAUNCHERS), LAUNCHERS);
});

t.test('without one the definition counts, and what only a launcher knows is not guessed', async t => {
  t.same(await shownCommand(t, { supervisor: 'unit', command: KERNEL }), KERNEL);
  t.same(await shownCommand(t, { supervisor: 'unit', vmConfig: {} }), undefined);
  t.same(
    await shownCommand(t, { supervisor: 'daemon', command: KERNEL }, LAUNCHERS),
    KERNEL,
    'a child has none',
  );
  await t.rejects(shownCommand(t, { supervisor: 'unit' }), {
    code: 'state_conflict',
    message: /brought by the launcher of .*; start the VM, then ask again/,
  });
});
