// A systemd that says of one unit what a test makes it say, and a VMM that answers when a test lets it.
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import pLimit from 'p-limit';
import type { Test } from 'tap';
import { UnitLifecycle } from '../../src/supervisor/unit/unit-lifecycle.js';
import type { Systemctl, UnitFacts } from '../../src/system/systemctl.js';
import { parseUnitFacts } from '../../src/system/systemctl.js';
import { socketFolder } from '../setup/socket-folder.js';
import { MemoryHost } from './memory-vmm.js';
import { defineVm, makeEvents, makeRecords, makeVm } from './vm-for-test.js';

const DOWN = parseUnitFacts(
  'LoadState=loaded\nActiveState=inactive\nSubState=dead\nResult=success\nUID=1000\nRestartUSec=5s\n',
);
const control = {
  version: '0.0.0',
  powerButton: async () => {},
  shutdown: async () => {},
  reboot: async () => {},
  pause: async () => {},
  resume: async () => {},
};

/** What systemd says in a run of the unit, one after the other. */
export const starting = (invocationId: string): Partial<UnitFacts> => ({
  activeState: 'activating',
  subState: 'start-pre',
  invocationId,
  result: 'success',
  conditionMet: true,
});
export const waitsForBoot = { subState: 'start-post', mainPid: 7 } as const;
export const active = { activeState: 'active', subState: 'running', mainPid: 7 } as const;
export const powerOff = {
  activeState: 'inactive',
  subState: 'dead',
  mainPid: null,
  invocationId: null,
} as const;
export const waitsToRestart = {
  activeState: 'activating',
  subState: 'auto-restart',
  mainPid: null,
  result: 'exit-code',
  mainStatus: 1,
} as const;

export function makeUnit(t: Test) {
  const folder = socketFolder(t);
  const events = makeEvents();
  const vm = makeVm(folder, defineVm('web', { supervisor: 'unit' }), events);
  mkdirSync(dirname(vm.paths.launcherCommand), { recursive: true });
  const host = new MemoryHost([1]);
  const asked: string[] = [];
  const journal: string[] = [];
  const bootFaults: Error[] = [];
  let facts = DOWN;
  let listener: (facts: UnitFacts) => void = () => {};
  let answer = () => {};
  const isAnswering = new Promise<void>(resolve => {
    answer = resolve;
  });
  /** What a job of systemd does. */
  let job = async (): Promise<void> => {};
  let stop = job;
  const ask = (verb: string) => async () => {
    asked.push(verb);
    if (verb === 'start' || verb === 'restart') await job();
    if (verb === 'stop') await stop();
    if (verb === 'reset-failed' && facts.activeState === 'failed') facts = { ...facts, ...powerOff };
  };
  const systemctl: Systemctl = {
    start: ask('start'),
    stop: ask('stop'),
    restart: ask('restart'),
    resetFailed: ask('reset-failed'),
    kill: ask('kill'),
    show: async () => facts,
  };
  const hypervisor = {
    ...host.hypervisor(),
    unit: {
      ...host.hypervisor().unit,
      untilLaunched: async (_vm: string, _paths: unknown, { signal }: { signal: AbortSignal }) => {
        const ended = new Promise<never>((_, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason));
          if (signal.aborted) reject(signal.reason);
        });
        await Promise.race([isAnswering, ended]);
        return control;
      },
    },
    bringUp: async ({ signal }: { signal: AbortSignal }) => {
      await host.pass();
      signal.throwIfAborted();
      const [fault] = bootFaults.splice(0, 1);
      if (fault !== undefined) throw fault;
      return control;
    },
  };
  const lifecycle = new UnitLifecycle(vm, {
    records: makeRecords(folder, events, () => vm),
    systemctl,
    unitWatch: {
      watch: (_unit, heard) => {
        listener = heard;
        heard(facts);
        return () => {};
      },
    },
    startTools: () => ({ ...host.startTools(), hypervisor }),
    startLimit: pLimit(1),
    writeJournal: async message => void journal.push(message),
  });
  t.teardown(() => lifecycle.close());
  return {
    vm,
    host,
    lifecycle,
    asked,
    /** What came into the journal of the unit. */
    journal,
    bootFaults,
    answer,
    setJob(next: () => Promise<void>) {
      job = next;
    },
    setStop(next: () => Promise<void>) {
      stop = next;
    },
    /** systemd's facts change, and the daemon hears of it. */
    say(...changes: Partial<UnitFacts>[]) {
      for (const change of changes) {
        facts = { ...facts, ...change };
        listener(facts);
      }
    },
    /** They change, and no signal has come yet. */
    change(change: Partial<UnitFacts>) {
      facts = { ...facts, ...change };
    },
    /** An older answer of systemctl's comes late. */
    sayLate(old: Partial<UnitFacts>) {
      listener({ ...facts, ...old });
    },
    prepare: (invocationId: string) => lifecycle.launches.prepare({ invocationId, workingDirectory: '/' }),
  };
}
