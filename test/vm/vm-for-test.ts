// A Vm with its events, without a daemon, and a hypervisor process that is none.
import { join } from 'node:path';
import type { Definition } from '../../src/definition/definition.js';
import { digestDefinition } from '../../src/definition/definition-digest.js';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import { VmEvents } from '../../src/vm/events.js';
import type { VmRecord } from '../../src/vm/record.js';
import { RecordStore } from '../../src/vm/record-store.js';
import type { RunningVm } from '../../src/vm/start-vm.js';
import { Vm } from '../../src/vm/vm.js';
import { vmPaths } from '../../src/vm/vm-paths.js';
import type { VmmId } from '../../src/vm/vmm-process.js';

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

/** @param fail is called with what the store logs: nothing, unless a test wants it */
export function makeRecords(
  runtimeDirectory: string,
  events: VmEvents,
  findVm: (name: string) => Vm | undefined,
  fail: (...logged: unknown[]) => void = () => {},
): RecordStore {
  return new RecordStore({
    directory: join(runtimeDirectory, 'records'),
    events,
    findVm,
    logger: { error: fail, info: () => {} },
  });
}

/** As of a VM whose guest was booted by an earlier daemon. */
export function recordOf(vm: Vm, vmm: VmmId): VmRecord {
  const { vmm: _vmm, control: _control, plan: _plan, ...prepared } = runningVm(vm);
  const facts = { startedAt: null, isPaused: false, ready: true, receipt: null };
  return { ...prepared, ...facts, vmm, phase: 'running', definition: vm.definition };
}

export function recordPath(runtimeDirectory: string, file: string): string {
  return join(runtimeDirectory, 'records', file);
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
