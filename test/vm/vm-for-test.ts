// A Vm with its events, without a daemon, and a hypervisor process that is none.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import type { Definition } from '../../src/definition/definition.js';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import { VmEvents } from '../../src/vm/events.js';
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

/** Short enough for sockets, on any machine. */
export function makeRuntimeDirectory(t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'vmsecretd-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function makeVm(runtimeDirectory: string, definition: Definition, events = makeEvents()): Vm {
  const paths = vmPaths(runtimeDirectory, definition.name);
  return new Vm({ definition, paths, events, now: () => new Date(), logger: silentLogger });
}

export function makeEvents(): VmEvents {
  return new VmEvents(() => new Date());
}
