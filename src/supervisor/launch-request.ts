// Who knocks at launch.sock: nothing that a caller says is believed but which process it is, and that is looked up.
import { basename } from 'node:path';
import { VmsecretdError } from '../errors.js';
import { COMMAND_LINE_LIMIT, readCommandLine } from '../system/command-line.js';
import { isSameProcess, type ProcessFacts, readProcess } from '../system/procfs.js';
import { type Systemctl, shareReads, type UnitFacts } from './systemctl.js';

const LAUNCHER = 'vmsecretd-launch';

export interface LaunchRequest {
  process: ProcessFacts;
  workingDirectory: string;
  /** What follows `--`; undefined where the definition's command counts. */
  command: readonly string[] | undefined;
  /** Which run of the unit it is. */
  invocationId: string | null;
}

/**
 * Checks that the process is the launcher of this VM: the main process of the VM's unit, run by the unit's user.
 * @throws VmsecretdError forbidden
 */
export async function checkLaunchRequest(
  vm: string,
  unit: string,
  pid: number,
  systemctl: Pick<Systemctl, 'show'>,
): Promise<LaunchRequest> {
  const process = await readProcess(pid);
  if (process === null) throw refuseLaunch(vm, `there is no process ${pid}`);
  const mismatch = (why: string) =>
    refuseLaunch(vm, `process ${pid} ${why} ${unit}; start it with systemctl start ${unit}`);
  // systemd is asked by a process of its own, which not everybody who knocks is worth.
  if (!isNamedAfter(process.cgroup, unit)) throw mismatch(ELSEWHERE);
  const facts = await systemctl.show(unit);
  const why = findMismatch(process, facts);
  if (why !== undefined) throw mismatch(why);
  // Last, and of the unit's main process alone: it is read by a process, too, and may keep that waiting.
  const command = await readLauncherCommand(vm, pid);
  const { workingDirectory } = process;
  if (workingDirectory === null) {
    throw refuseLaunch(
      vm,
      `the path of the working directory of process ${pid} is longer than the kernel tells`,
    );
  }
  // Between the reads the pid may have become another's.
  if (!(await isSameProcess(pid, process.startTimeTicks))) {
    throw refuseLaunch(vm, `process ${pid} changed while it was looked at`);
  }
  return { process, workingDirectory, command, invocationId: facts.invocationId };
}

/** However many ask for one process, it is read once at a time. */
const readShared = shareReads(pid => readCommandLine(Number(pid)));

/** @throws VmsecretdError forbidden */
async function readLauncherCommand(vm: string, pid: number): Promise<readonly string[] | undefined> {
  const shown = await readShared(String(pid));
  if (shown === null) throw refuseLaunch(vm, `process ${pid} has ended, or withholds its command line`);
  if (!shown.isWhole) {
    const { bytes, arguments: count } = COMMAND_LINE_LIMIT;
    const why = `the command line of process ${pid} is longer than ${bytes} bytes or ${count} arguments`;
    throw refuseLaunch(vm, why);
  }
  const command = launcherCommand(vm, shown.argv);
  if (command === null) throw refuseLaunch(vm, `process ${pid} is not ${LAUNCHER} ${vm}`);
  return command;
}

/** @returns null where the command line is not the launcher's, run by its shell, for this VM */
function launcherCommand(vm: string, argv: readonly string[]): readonly string[] | undefined | null {
  const [, script = '', name, separator, ...command] = argv;
  if (basename(script) !== LAUNCHER || name !== vm) return null;
  if (separator === undefined) return undefined;
  return separator === '--' ? command : null;
}

const ELSEWHERE = 'does not run in';

/** systemd puts a `_` before a name that means something in a cgroup, such as cpu.service. */
function isNamedAfter(cgroup: string | null, unit: string): boolean {
  const name = basename(cgroup ?? '');
  return name === unit || name === `_${unit}`;
}

function findMismatch({ pid, cgroup, uid }: ProcessFacts, unit: UnitFacts): string | undefined {
  if (unit.controlGroup === null || cgroup !== unit.controlGroup) return ELSEWHERE;
  // What a VMM starts beside itself has its cgroup and user, too.
  if (pid !== unit.mainPid) return 'is not the main process of';
  if (uid === null || uid !== unit.uid) return 'is not run by the user of';
  return undefined;
}

/** @param why which process, and what of it did not fit */
export function refuseLaunch(vm: string, why: string): VmsecretdError {
  return new VmsecretdError('forbidden', `VM ${vm}: this launch is refused: ${why}`, { details: { vm } });
}
