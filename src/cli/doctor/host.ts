// Whether the host can run VMs: the hypervisor's program, /dev/kvm, and what happens to memory.
import { access, constants, readFile } from 'node:fs/promises';
import type { Config } from '../../config.js';
import { systemErrorCode, VmsecretdError } from '../../errors.js';
import { readMajorVersion } from '../../hypervisor/cloud-hypervisor/version.js';
import { findProgram } from '../../system/find-program.js';
import { type Finding, fine, warning, wrong } from './finding.js';

/** What is measured; older ones may lack options. */
const REFERENCE_VERSION = 53;
const INSTALL = 'install cloud-hypervisor, or set hypervisors.cloud-hypervisor.path in config.json';

export async function checkHypervisor(config: Config, searchPath: string): Promise<Finding> {
  const name = config.hypervisors?.['cloud-hypervisor']?.path ?? 'cloud-hypervisor';
  const program = await findProgram(name, searchPath);
  const check = 'hypervisor';
  if (program === undefined) return wrong(check, `there is no program ${name}`, INSTALL);
  try {
    const version = await readMajorVersion(program);
    if (version >= REFERENCE_VERSION) return fine(check, `${program}, version ${version}`);
    return warning(check, `${program} is version ${version}`, `upgrade to ${REFERENCE_VERSION} or later`);
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return wrong(check, error.message, INSTALL);
  }
}

export async function checkKvm(path: string): Promise<Finding> {
  try {
    await access(path, constants.R_OK | constants.W_OK);
    return fine('kvm', path);
  } catch (error) {
    return systemErrorCode(error) === 'ENOENT'
      ? wrong(
          'kvm',
          `${path} does not exist`,
          'enable virtualisation and load kvm_intel or kvm_amd; QEMU does without',
        )
      : wrong('kvm', `${path} is closed to this user`, "add the VMM's user to the group kvm");
  }
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
