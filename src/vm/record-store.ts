// The records of VMMs in RUNTIME/records: what a later daemon finds them by. Not in the VMs' own folders, which belong to the
// users of VMMs.
//
// INVARIANTS
// - A record is whole: it is written under another name and renamed.
// - NAME.starting is of a VMM whose guest was not booted yet, NAME.json of one whose guest was: one becomes the other by a
//   rename, which needs no space. Where both are there, NAME.json counts.
// - A VMM is recorded before it gets its VM. After that, what could not be written is tried again, and the VM says so.
import { randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import type { Logger } from '../log.js';
import { explainStorageError } from '../system/storage-error.js';
import type { VmEvents, VmEventType } from './events.js';
import { type RecordPhase, readRecord, type VmRecord, writeRecord } from './record.js';
import type { LaunchedVm } from './start-vm.js';
import type { Vm } from './vm.js';

export interface RecordStoreOptions {
  directory: string;
  events: VmEvents;
  findVm(name: string): Vm | undefined;
  logger: Pick<Logger, 'error' | 'info'>;
}

/** Between tries to write what could not be written. */
const RETRY_MS = 5_000;

const EXTENSIONS: Record<RecordPhase, string> = { starting: '.starting', running: '.json' };

/** Of what is recorded, or of its end. */
const RECORDED: readonly VmEventType[] = [
  'state',
  'ready',
  'reset',
  'receipt',
  'guest-part',
  'refreshed',
  'exit',
];

/** The record of one VM that this daemon has started or taken over. */
interface Kept {
  /** Its VMM, until its guest is booted or the start has failed. */
  launched: LaunchedVm | undefined;
  /** Whether something changed since it was last written. */
  isStale: boolean;
  writing: Promise<void> | undefined;
  retry: NodeJS.Timeout | undefined;
}

export class RecordStore {
  readonly #options: RecordStoreOptions;
  readonly #kept = new Map<string, Kept>();
  readonly #unsubscribe: () => void;

  constructor(options: RecordStoreOptions) {
    this.#options = options;
    this.#unsubscribe = options.events.subscribe(({ type, vm }) => {
      if (!RECORDED.includes(type)) return;
      const isRunning = options.findVm(vm)?.running !== undefined;
      if (isRunning || this.#kept.has(vm)) void this.#refresh(vm);
    });
  }

  /** Records a VMM before it gets its VM. @throws VmsecretdError resource_conflict */
  async begin(vm: Vm, launched: LaunchedVm): Promise<void> {
    const kept = this.#of(vm.name);
    await kept.writing;
    kept.launched = launched;
    const before = this.#path(vm.name, 'running');
    await rm(before, { force: true }).catch(error => {
      throw explainStorageError(error, before);
    });
    await this.#replace(vm.name, 'starting', describe(vm, launched));
  }

  /** The start has failed, and its VMM ended. */
  async abandon(name: string): Promise<void> {
    const kept = this.#of(name);
    kept.launched = undefined;
    await this.#refresh(name);
  }

  /** Settles once what is known of the VM is written, or could not be. */
  async settled(name: string): Promise<void> {
    await this.#kept.get(name)?.writing;
  }

  /** @returns what an earlier daemon wrote; undefined where there is nothing, or nothing that this version reads */
  async read(name: string): Promise<VmRecord | undefined> {
    return (await this.#readPhase(name, 'running')) ?? (await this.#readPhase(name, 'starting'));
  }

  async readAll(): Promise<VmRecord[]> {
    const files = await readdir(this.#options.directory).catch(() => []);
    const names = Object.values(EXTENSIONS).flatMap(extension =>
      files.filter(file => file.endsWith(extension)).map(file => basename(file, extension)),
    );
    const records = await Promise.all([...new Set(names)].map(name => this.read(name)));
    return records.filter(record => record !== undefined);
  }

  /** Of a VMM that an earlier daemon recorded, and that is gone. */
  async remove(name: string): Promise<void> {
    for (const phase of ['running', 'starting'] as const) await rm(this.#path(name, phase), { force: true });
  }

  /** Settles once everything is written that can be. */
  async close(): Promise<void> {
    this.#unsubscribe();
    for (const { retry } of this.#kept.values()) clearTimeout(retry);
    await Promise.all([...this.#kept.values()].map(({ writing }) => writing));
  }

  #of(name: string): Kept {
    const known = this.#kept.get(name);
    if (known !== undefined) return known;
    const kept = { launched: undefined, isStale: false, writing: undefined, retry: undefined };
    this.#kept.set(name, kept);
    return kept;
  }

  #refresh(name: string): Promise<void> {
    const kept = this.#of(name);
    kept.isStale = true;
    kept.writing ??= this.#write(name, kept);
    return kept.writing;
  }

  /** One change after the other, each of what is known by then. */
  async #write(name: string, kept: Kept): Promise<void> {
    while (kept.isStale) {
      // Several events may come of one change.
      await Promise.resolve();
      kept.isStale = false;
      clearTimeout(kept.retry);
      const vm = this.#options.findVm(name);
      try {
        await this.#change(name, vm, kept);
        if (vm?.recordProblem != null) this.#options.logger.info({ vm: name }, 'a record is written again');
        vm?.recordKept();
      } catch (error) {
        this.#explain(name, vm, error);
        kept.retry = setTimeout(() => void this.#refresh(name), RETRY_MS).unref();
      }
    }
    kept.writing = undefined;
    if (kept.launched === undefined && this.#options.findVm(name)?.running === undefined)
      this.#forget(name, kept);
  }

  #forget(name: string, kept: Kept): void {
    clearTimeout(kept.retry);
    if (this.#kept.get(name) === kept) this.#kept.delete(name);
  }

  async #change(name: string, vm: Vm | undefined, kept: Kept): Promise<void> {
    if (vm?.running !== undefined) {
      if (kept.launched !== undefined)
        await rename(this.#path(name, 'starting'), this.#path(name, 'running'));
      kept.launched = undefined;
      await this.#replace(name, 'running', describe(vm, vm.running));
    } else if (kept.launched === undefined) await this.remove(name);
  }

  /** One that stays names a process that is gone, and the next daemon sees that. */
  #explain(name: string, vm: Vm | undefined, error: unknown): void {
    const { logger } = this.#options;
    const why = explainStorageError(error, this.#path(name, 'running'));
    if (vm?.running === undefined) {
      logger.error({ vm: name, code: systemErrorCode(error) }, 'a record cannot be removed');
      return;
    }
    if (vm.problem !== null) return;
    vm.recordKept(
      why instanceof VmsecretdError
        ? new VmsecretdError(why.code, `VM ${name} runs, but its record is out of date: ${why.message}`, {
            details: { ...why.details, vm: name },
          })
        : why,
    );
    logger.error({ vm: name, problem: vm.problem }, 'a record cannot be written');
  }

  async #replace(name: string, phase: RecordPhase, text: string): Promise<void> {
    const path = this.#path(name, phase);
    await mkdir(this.#options.directory, { recursive: true, mode: 0o700 });
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

  async #readPhase(name: string, phase: RecordPhase): Promise<VmRecord | undefined> {
    const path = this.#path(name, phase);
    const text = await readFile(path, 'utf8').catch(error => {
      if (systemErrorCode(error) === 'ENOENT') return undefined;
      throw error;
    });
    if (text === undefined) return undefined;
    const record = readRecord(text, phase);
    if (record === undefined)
      this.#options.logger.error({ vm: name, path }, 'a record is not of this version, nor of one before it');
    return record;
  }

  #path(name: string, phase: RecordPhase): string {
    return join(this.#options.directory, `${name}${EXTENSIONS[phase]}`);
  }
}

function describe(vm: Vm, launched: LaunchedVm): string {
  const { startedAt, ready, receipt, definition } = vm;
  const { apiSocket, console, channels, vmm, credentials, claims, definitionDigest, workingDirectory } =
    launched;
  const refreshed = vm.running?.refreshed;
  return writeRecord({
    ...{ vmm: vmm.id, apiSocket, console, channels, credentials, claims, definitionDigest, workingDirectory },
    ...(refreshed === undefined ? {} : { refreshed }),
    ...{ startedAt, isPaused: vm.state === 'paused', ready, receipt, definition },
  });
}
