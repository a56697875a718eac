// Whether the host can run the VMs it has: the hypervisors' programs, /dev/kvm, and what happens to memory.
import { access, constants, readFile } from 'node:fs/promises';
import { isAbsolute } from 'node:path';
import type { Config } from '../../config.js';
import { HYPERVISOR_KINDS, HYPERVISORS, type HypervisorKind } from '../../definition/hypervisor-kinds.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { readProgramVersion } from '../../hypervisor/hypervisors.js';
import { accessAs } from '../../system/access-as.js';
import { findProgram } from '../../system/find-program.js';
import { resolveUser } from '../../system/users.js';
import { type Finding, fine, warning, wrong } from './finding.js';

const install = (kind: HypervisorKind) => `install ${kind}, or set hypervisors.${kind}.path in config.json`;

export interface HypervisorFacts {
  config: Config;
  searchPath: string;
  kvmPath: string;
  /** Of VMMs that the daemon spawns, as definitions and configuration name them. */
  users?: readonly string[];
  /** Hypervisors of the definitions there are. */
  wanted: readonly string[];
}

/** What no definition wants need not be there; where there is none, one hypervisor is enough. */
export async function checkHypervisors(facts: HypervisorFacts): Promise<Finding[]> {
  const { config, searchPath, kvmPath, wanted } = facts;
  const looked = await Promise.all(
    HYPERVISOR_KINDS.map(async kind => {
      const name = config.hypervisors?.[kind]?.path ?? HYPERVISORS[kind].program;
      const place = isAbsolute(name) ? '' : ` in ${searchPath}`;
      return { kind, shown: `${name}${place}`, program: await findProgram(name, searchPath) };
    }),
  );
  if (wanted.length === 0 && looked.every(({ program }) => program === undefined))
    return [
      wrong(
        'hypervisor',
        `there is no ${looked.map(({ shown }) => shown).join(', and no ')}`,
        install('cloud-hypervisor'),
      ),
    ];
  const findings: Finding[] = [];
  for (const { kind, shown, program } of looked) {
    if (program !== undefined) findings.push(await checkVersion(kind, program));
    else if (wanted.includes(kind)) findings.push(missing(kind, `there is no program ${shown}`));
  }
  if (wanted.includes('cloud-hypervisor')) findings.push(...(await checkKvm(kvmPath, facts.users ?? [])));
  return findings;
}

/** A definition for QEMU may name a program of its own. */
function missing(kind: HypervisorKind, detail: string): Finding {
  return kind === 'qemu'
    ? warning('hypervisor', detail, 'install it, unless every definition for qemu names its own program')
    : wrong('hypervisor', detail, install(kind));
}

async function checkVersion(kind: HypervisorKind, program: string): Promise<Finding> {
  const check = 'hypervisor';
  try {
    const found = await readProgramVersion(kind, program);
    if (found === undefined) return fine(check, program);
    const { version, upgradeTo } = found;
    if (upgradeTo === undefined) return fine(check, `${program}, version ${version}`);
    return warning(check, `${program} is version ${version}`, `upgrade to ${upgradeTo} or later`);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return wrong(check, error.message, install(kind));
  }
}

/** As those who will open it: who runs doctor says nothing. */
async function checkKvm(path: string, users: readonly string[]): Promise<Finding[]> {
  const check = 'kvm';
  const error = await access(path, constants.F_OK).then(
    () => undefined,
    (refusal: unknown) => refusal,
  );
  if (systemErrorCode(error) === 'ENOENT') {
    const fix = 'enable virtualisation and load kvm_intel or kvm_amd; QEMU does without';
    return [wrong(check, `${path} does not exist`, fix)];
  }
  if (users.length === 0)
    return [
      fine(check, `${path} is there; whether the user of a VMM may open it, vmsecretctl check NAME says`),
    ];
  return Promise.all(users.map(user => checkKvmFor(user, path)));
}

async function checkKvmFor(user: string, path: string): Promise<Finding> {
  const check = 'kvm';
  try {
    const ids = await resolveUser('doctor', user, undefined);
    const [answer] = await accessAs(ids, [{ path, mode: 'write' }]);
    if (answer === 'allowed') return fine(check, `${path}, for the user ${user}`);
    if (answer === 'refused')
      return wrong(check, `${path} is closed to the user ${user}, who runs VMMs`, `usermod -aG kvm ${user}`);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return wrong(check, error.message, 'correct user in config.json or the definition');
  }
  return warning(
    check,
    `whether ${user} may open ${path} was not looked at`,
    'run vmsecretctl doctor as root',
  );
}

/** @param swapsPath /proc/swaps: a line of headings, then one for each swap area */
export async function checkSwap(swapsPath: string): Promise<Finding> {
  const text = await readFile(swapsPath, 'utf8').catch(() => '');
  const areas = text
    .trim()
    .split('\n')
    .slice(1)
    .map(line => line.split(/\s/)[0]);
  if (areas.length === 0) return fine('swap', 'there is none');
  return warning(
    'swap',
    `the memory of VMs, and the secrets in it, may be written to ${areas.join(', ')}`,
    'encrypt swap, or give VMs --memory hugepages=on',
  );
}
