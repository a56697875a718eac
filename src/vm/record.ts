// What adoption must know of a running VMM, in RUNTIME/vms/NAME/vmm.json: never a secret, always whole.
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import type { HypervisorKind } from '../definition/definition.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import { systemErrorCode } from '../errors.js';
import type { ConsolePlan } from '../hypervisor/hypervisor.js';

export interface VmmRecord {
  pid: number;
  startTimeTicks: number;
  hypervisor: HypervisorKind;
  apiSocket: string;
  console?: ConsolePlan;
  startedAt: string;
  credentials: readonly PreparedCredential[];
}

export async function writeRecord(path: string, record: VmmRecord): Promise<void> {
  await writeFile(`${path}.new`, JSON.stringify(record), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function removeRecord(path: string): Promise<void> {
  await rm(path, { force: true });
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
