// What adoption must know of a VMM, in RUNTIME/records/NAME.json: never a secret, always whole. Not in the VM's own
// folder, which belongs to the VMM's user.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Definition } from '../definition/definition.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import { systemErrorCode } from '../errors.js';
import type { HostClaim } from '../hypervisor/host-needs.js';
import type { ConsolePlan, GuestChannelPlans, VmPaths } from '../hypervisor/hypervisor.js';
import { explainStorageError } from '../system/storage-error.js';
import type { RunningVm } from './start-vm.js';
import type { VmState } from './state.js';

interface RecordedVm {
  /** `starting` until vm.boot was answered: such a VMM may have no VM. */
  phase: 'starting' | 'running';
  apiSocket: string;
  console: ConsolePlan | null;
  channels: GuestChannelPlans;
  startedAt: string | null;
  isPaused: boolean;
  ready: boolean;
  receipt: string | null;
  /** With their digests: what an adopted VM is compared with. */
  credentials: readonly PreparedCredential[];
  /** As in RunningVm; absent in records of daemons before. */
  refreshed?: RunningVm['refreshed'];
  /** What it has of the host, so that no other VM takes it. */
  claims: readonly HostClaim[];
  definitionDigest: string;
  /** Of the VMM. */
  workingDirectory: string;
  /** As it was when this was written: a VMM may outlive its definition. */
  definition: Definition;
}

/** Of a VMM that is a child of the daemon that wrote it. */
export type ChildRecord = RecordedVm & { pid: number; startTimeTicks: number };
/** Of a VMM that is the main process of a unit. */
export type UnitRecord = RecordedVm & { invocationId: string };
export type VmmRecord = ChildRecord | UnitRecord;

export function isChildRecord(record: VmmRecord): record is ChildRecord {
  return !isUnitRecord(record);
}

export function isUnitRecord(record: VmmRecord): record is UnitRecord {
  return 'invocationId' in record;
}

export async function keepRecord(
  vm: Pick<VmmRecord, 'definition' | 'startedAt' | 'ready' | 'receipt'> & { paths: VmPaths; state: VmState },
  {
    apiSocket,
    console,
    channels,
    vmm,
    credentials,
    refreshed,
    claims,
    definitionDigest,
    workingDirectory,
  }: Omit<RunningVm, 'control' | 'plan'>,
  phase: VmmRecord['phase'],
): Promise<void> {
  const { record: path } = vm.paths;
  const { startedAt, ready, receipt } = vm;
  const record: VmmRecord = {
    phase,
    ...vmm.id,
    apiSocket,
    console: console ?? null,
    channels,
    startedAt,
    isPaused: vm.state === 'paused',
    ready,
    receipt,
    credentials,
    refreshed,
    claims,
    definitionDigest,
    workingDirectory,
    definition: vm.definition,
  };
  await inLine(path, () => replaceFile(path, JSON.stringify(record)));
}

export async function removeRecord(path: string): Promise<void> {
  await inLine(path, () => rm(path, { force: true }));
}

async function replaceFile(path: string, text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  // A name of its own: an earlier daemon may have left one.
  const unfinished = `${path}.${randomUUID()}`;
  try {
    await writeFile(unfinished, text, { mode: 0o600 });
    await rename(unfinished, path);
  } catch (error) {
    // Half a record takes room that is short already.
    await rm(unfinished, { force: true });
    throw explainStorageError(error, path);
  }
}

const lastOf = new Map<string, Promise<void>>();

/** One change of a record after the other, as they were asked for: else an older one may be what stays. */
async function inLine(path: string, change: () => Promise<void>): Promise<void> {
  const done = (lastOf.get(path) ?? Promise.resolve()).catch(() => {}).then(change);
  lastOf.set(path, done);
  try {
    await done;
  } finally {
    if (lastOf.get(path) === done) lastOf.delete(path);
  }
}

/** @returns undefined where there is none, or none that can be read */
export async function readRecord(path: string): Promise<VmmRecord | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as VmmRecord;
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** @returns what earlier daemons wrote down; none where there is nothing yet */
export async function readRecords(directory: string): Promise<VmmRecord[]> {
  const files = (await readdir(directory).catch(() => [])).filter(file => file.endsWith('.json'));
  const records = await Promise.all(files.map(file => readRecord(join(directory, file))));
  return records.filter(record => record !== undefined);
}
