// Supervisor `daemon`: the VMM is a child of ours, in a session of its own, and lives on when we are gone.
import { chmod, lchown, lstat, mkdir, rename, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { execa } from 'execa';
import { hideCredentials } from '../../credentials/oem-string.js';
import { VmsecretdError } from '../../errors.js';
import { makeFifos } from '../../hypervisor/fifos.js';
import type { VmPaths, VmPlan } from '../../hypervisor/hypervisor.js';
import { makePrivateFolder, removeAnything } from '../../system/own-folder.js';
import { type ProcessFacts, readProcess } from '../../system/procfs.js';
import { readTail } from '../../system/read-tail.js';
import { runAs } from '../../system/run-as.js';
import type { UserIds } from '../../system/users.js';
import { describeExit, type VmmExit, type VmmProcess } from '../../vm/vmm-process.js';
import { detachedWith, openLog } from './detached-child.js';
import { runPreStart } from './pre-start.js';

export interface SpawnOptions {
  plan: VmPlan;
  paths: VmPaths;
  workingDirectory: string | undefined;
  preStart: readonly (readonly string[])[];
  /** Who the VMM runs as; the daemon's own user unless given. */
  owner: UserIds | undefined;
  /** What programs are found by. */
  path: string;
  signal: AbortSignal;
}

/** How much of a VMM's standard error is told. */
const LAST_WORDS_BYTES = 2_000;

/** @throws VmsecretdError vmm_missing, definition_invalid, supervisor_failed */
export async function spawnVmm(options: SpawnOptions): Promise<VmmProcess> {
  const { plan, paths, path, signal } = options;
  const cwd = options.workingDirectory ?? paths.directory;
  const ids = options.owner;
  await keepLastLog(paths.vmmLog);
  await writeFile(paths.vmmLog, '', { mode: 0o600, flag: 'wx' });
  for (const command of options.preStart)
    await runPreStart(command, { vm: plan.vm, cwd, owner: ids, path, signal, logPath: paths.vmmLog });
  signal.throwIfAborted();
  const [program, ...args] = runAs(ids, [...plan.spawned]);
  const log = await openLog(paths.vmmLog);
  const child = execa(program, args, { ...detachedWith(log), cwd, env: vmmEnvironment(path) });
  log.destroy();
  const exited = child.then(
    async (result): Promise<VmmExit> => ({
      status: result.exitCode ?? null,
      signal: result.signal ?? null,
      lastWords: await readLastWords(paths.vmmLog),
    }),
  );
  const facts = await readChild(child.pid).catch(async error => {
    // Without its start time nobody could find it again.
    child.kill('SIGKILL');
    await exited;
    throw error;
  });
  if (facts === null) throw endedAtOnce(plan, cwd, await exited);
  child.unref();
  const { pid, startTimeTicks } = facts;
  return {
    id: { pid, startTimeTicks },
    pid,
    exited,
    kill: name => void child.kill(name),
  };
}

/** The end of what a VMM and its preStarts printed, fit to be shown. */
export async function readLastWords(vmmLog: string): Promise<string> {
  return hideCredentials(await readTail(vmmLog, LAST_WORDS_BYTES));
}

/** What the last VMM said stays until another one has said something: a start may fail before it comes to that. */
async function keepLastLog(path: string): Promise<void> {
  const stats = await lstat(path).catch(() => undefined);
  if (stats?.isFile() && stats.size > 0) await rename(path, `${path}.old`);
  else await removeAnything(path);
}

function readChild(pid: number | undefined): Promise<ProcessFacts | null> {
  return pid === undefined ? Promise.resolve(null) : readProcess(pid);
}

function endedAtOnce(plan: VmPlan, cwd: string, exit: VmmExit): VmsecretdError {
  const { vm, program: path } = plan;
  if (exit.status === null && exit.signal === null) {
    return new VmsecretdError(
      'vmm_missing',
      `VM ${vm}: ${path} cannot be started in ${cwd}: is that folder there?`,
      {
        details: { vm, path },
      },
    );
  }
  const code = exit.status === 126 || exit.status === 127 ? 'vmm_missing' : 'vmm_refused';
  return new VmsecretdError(code, `VM ${vm}: ${path} ${describeExit(exit)}`, {
    details: { vm, path },
    words: exit.lastWords,
  });
}

/** MALLOC_ARENA_MAX: without it a v53 VMM with 30 KB of OEM strings never exits (docs/decisions/0004). */
function vmmEnvironment(path: string): Record<string, string> {
  return { PATH: path, MALLOC_ARENA_MAX: '1' };
}

/** Makes the VM's private folder and what must be there before its VMM; clears what a killed VMM left. */
export async function prepareDirectory(
  plan: VmPlan,
  paths: VmPaths,
  ids: UserIds | undefined,
): Promise<void> {
  for (const folder of [dirname(paths.directory), dirname(paths.vmmLog)]) {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    // Another user passes through to what is its own, and makes nothing there; whatever our umask is.
    if (ids !== undefined) await chmod(folder, 0o711);
  }
  await makePrivateFolder(paths.directory, ids);
  for (const path of [paths.apiSocket, paths.consoleSocket, paths.consoleLog]) await removeAnything(path);
  if (plan.console?.kind === 'log') {
    await writeFile(plan.console.path, '', { mode: 0o600, flag: 'wx' });
    if (ids !== undefined) await lchown(plan.console.path, ids.uid, ids.gid);
  }
  await makeFifos(paths.fifos, plan.fifos.length, ids);
}
