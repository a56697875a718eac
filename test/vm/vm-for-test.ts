// A Vm with its events, without a daemon, and a hypervisor process that is none.
import { join } from 'node:path';
import type { Definition } from '../../src/definition/definition.js';
import { digestDefinition } from '../../src/definition/definition-digest.js';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import { VmEvents } from '../../src/vm/events.js';
import type { RunningVm } from '../../src/vm/start-vm.js';
import { Vm } from '../../src/vm/vm.js';
import { vmPaths } from '../../src/vm/vm-paths.js';

const silentLogger = { error: () => {}, warn: () => {} };

export function defineVm(name: string, json: Record<string, unknown>, path = '/definitions'): Definition {
  return parseDefinition(
    { command: ['--kernel', '/vmlinux'], supervisor: 'daemon', ...json },
    {
      name,
      origin: 'file',
      path: join(path, `${name}.json`),
      directory: path,
      defaultSupervisor: 'daemon',
    },
  );
}

export function makeVm(runtimeDirectory: string, definition: Definition, events = makeEvents()): Vm {
  const paths = vmPaths(runtimeDirectory, definition.name, definition.supervisor);
  return new Vm({ definition, paths, events, now: () => new Date(), logger: silentLogger });
}

export function makeEvents(): VmEvents {
  return new VmEvents(() => new Date());
}

/** Without a VMM. */
export function runningVm(vm: Vm): RunningVm {
  const done = async () => {};
  return {
    apiSocket: vm.paths.apiSocket,
    console: undefined,
    channels: {},
    plan: undefined,
    vmm: {
      id: { pid: process.pid, startTimeTicks: 0 },
      pid: process.pid,
      exited: new Promise(() => {}),
      kill: () => {},
    },
    control: {
      version: '0.0.0',
      powerButton: done,
      shutdown: done,
      reboot: done,
      pause: done,
      resume: done,
    },
    credentials: [],
    claims: [],
    definitionDigest: digestDefinition(vm.definition),
    workingDirectory: vm.paths.directory,
  };
}
