// What a later daemon must know of a VMM, as JSON: written by this version, read from this one and those before.
import type { Static } from 'typebox';
import type { Definition } from '../definition/definition.js';
import { digestDefinition, digestUnversioned } from '../definition/definition-digest.js';
import { restoreDefinition } from '../definition/parse-definition.js';
import { isRecord, isUnversionedRecord } from './record-checks.js';
import type { RecordSchema, UnversionedRecordSchema } from './record-schema.js';
import type { PreparedVm, RunningVm } from './start-vm.js';
import type { AdoptedFacts } from './vm.js';
import type { VmmId } from './vmm-process.js';

/** `starting` until the guest was booted: such a VMM may have no VM, or not all of it. */
export type RecordPhase = 'starting' | 'running';

export interface VmRecord extends PreparedVm, AdoptedFacts {
  phase: RecordPhase;
  vmm: VmmId;
  definition: Definition;
  /** As in RunningVm. */
  refreshed?: RunningVm['refreshed'];
}

/** Of a VMM that is a child of the daemon that wrote it. */
export interface ChildRecord extends VmRecord {
  vmm: Extract<VmmId, { pid: number }>;
}

/** Of a VMM that is the main process of a unit. */
export interface UnitRecord extends VmRecord {
  vmm: Extract<VmmId, { invocationId: string }>;
}

export function isChildRecord(record: VmRecord): record is ChildRecord {
  return !isUnitRecord(record);
}

export function isUnitRecord(record: VmRecord): record is UnitRecord {
  return 'invocationId' in record.vmm;
}

export function writeRecord(record: Omit<VmRecord, 'phase'>): string {
  const { name, origin, path, ...declared } = record.definition;
  const json = {
    version: 1,
    ...record,
    console: record.console ?? null,
    definition: { name, origin, path, declared },
  };
  return JSON.stringify(json);
}

/** @param phase as the name of the file says @returns undefined for what no version up to this one wrote */
export function readRecord(text: string, phase: RecordPhase): VmRecord | undefined {
  const json = parse(text);
  if (isRecord(json)) return fromRecord(json, phase);
  if (isUnversionedRecord(json)) return fromUnversioned(json);
  return undefined;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fromRecord(
  { version: _, definition, console, ...record }: Static<typeof RecordSchema>,
  phase: RecordPhase,
): VmRecord {
  const { declared, ...where } = definition;
  return { ...record, phase, console: console ?? undefined, definition: restoreDefinition(declared, where) };
}

function fromUnversioned({ console, ...record }: Static<typeof UnversionedRecordSchema>): VmRecord {
  const { name, origin, path, ...declared } = record.definition;
  const definition = restoreDefinition(declared, { name, origin, path });
  const isAsStarted = record.definitionDigest === digestUnversioned(definition);
  return {
    ...record,
    console: console ?? undefined,
    vmm:
      'invocationId' in record
        ? { invocationId: record.invocationId }
        : { pid: record.pid, startTimeTicks: record.startTimeTicks },
    definition,
    definitionDigest: isAsStarted ? digestDefinition(definition) : record.definitionDigest,
  };
}
