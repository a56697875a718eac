// Refuses a start that another VM or the host itself stands in the way of, naming what and whom, before secrets are read.
//
// INVARIANT: what a VM claims is compared and noted in one step, so of two VMs that start at once one is refused.
import type { Stats } from 'node:fs';
import { open, readFile, realpath, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import type { HostClaim, HostNeeds } from '../hypervisor/host-needs.js';
import type { VmEvents } from './events.js';
import { isPortFree, parsePortClaim } from './host-port.js';
import type { Vm } from './vm.js';
import type { VmmSite } from './vmm-site.js';

export interface HostClaimsTools {
  events: VmEvents;
  findVm(name: string): Vm | undefined;
  /** /dev/kvm unless given. */
  kvmPath?: string;
}

/** What to do about something that another VM has. */
const REMEDIES: Record<HostClaim['kind'], string> = {
  'vsock CID': 'give one of them another cid',
  'vsock socket': 'give one of them another socket path',
  tap: 'give one of them another tap',
  'MAC address': 'give one of them another MAC address',
  'disk image': 'give each its own image, or make it read-only in both',
  port: 'forward another port in one of them',
};

export class HostClaims {
  readonly #byVm = new Map<string, readonly HostClaim[]>();
  readonly #kvm: string;

  constructor({ events, findVm, kvmPath = '/dev/kvm' }: HostClaimsTools) {
    this.#kvm = kvmPath;
    events.subscribe(({ type, vm: name }) => {
      if (type !== 'state') return;
      const vm = findVm(name);
      if (vm?.running !== undefined) this.#byVm.set(name, vm.running.claims);
      else if (vm === undefined || vm.state === 'stopped' || vm.state === 'failed') this.#byVm.delete(name);
    });
  }

  /**
   * Takes what the VM needs for as long as it starts and runs.
   * @returns the claims with their paths resolved @throws VmsecretdError resource_conflict
   */
  async claim(needs: HostNeeds, site: VmmSite): Promise<readonly HostClaim[]> {
    const claims = await this.#checkAll(needs, site);
    // Others may have started while the host was looked at.
    this.#refuseTaken(claims, site.vm);
    this.#byVm.set(site.vm, claims);
    return claims;
  }

  /** As claim, without taking anything. @throws VmsecretdError resource_conflict */
  async check(needs: HostNeeds, site: VmmSite): Promise<void> {
    await this.#checkAll(needs, site);
  }

  async #checkAll(needs: HostNeeds, site: VmmSite): Promise<readonly HostClaim[]> {
    const claims = await Promise.all(needs.claims.map(claim => resolveClaim(claim, site)));
    this.#refuseTaken(claims, site.vm);
    if (!site.isPrepared) await refuseMissing(needs, site);
    await refuseTakenPorts(claims, site, this.#byVm.get(site.vm) ?? []);
    if (needs.needsKvm) await refuseWithoutKvm(this.#kvm, site);
    return claims;
  }

  #refuseTaken(claims: readonly HostClaim[], vm: string): void {
    for (const [other, theirs] of this.#byVm) {
      const taken =
        other === vm ? undefined : claims.find(claim => theirs.some(their => collide(claim, their)));
      if (taken === undefined) continue;
      const { kind, value } = taken;
      throw refused(
        vm,
        `VM ${other} has the ${kind} ${value} already; ${REMEDIES[kind]}, or stop VM ${other}`,
        {
          other,
          [kind === 'disk image' ? 'path' : 'value']: value,
        },
      );
    }
  }
}

function collide(a: HostClaim, b: HostClaim): boolean {
  if (a.kind !== b.kind || (a.shared && b.shared)) return false;
  if (a.kind !== 'port') return a.value === b.value;
  const [mine, theirs] = [parsePortClaim(a.value), parsePortClaim(b.value)];
  const isEverywhere = [mine, theirs].some(({ address }) => address === '0.0.0.0');
  const sameAddress = isEverywhere || mine.address === theirs.address;
  return mine.protocol === theirs.protocol && mine.port === theirs.port && sameAddress;
}

/** Two paths of one image are one image. */
async function resolveClaim(claim: HostClaim, { workingDirectory }: VmmSite): Promise<HostClaim> {
  if (claim.kind !== 'disk image' && claim.kind !== 'vsock socket') return claim;
  const path = resolve(workingDirectory, claim.value);
  return { ...claim, value: await realpath(path).catch(() => path) };
}

async function refuseMissing(needs: HostNeeds, site: VmmSite): Promise<void> {
  const { vm, workingDirectory } = site;
  for (const { what, path: given } of needs.files) {
    const path = resolve(workingDirectory, given);
    if ((await find(path, site)) !== 'missing') continue;
    throw refused(vm, `${what} ${path} does not exist; create it, or correct its path`, { path });
  }
  for (const { what, path: given } of needs.sockets) {
    const path = resolve(workingDirectory, given);
    const found = await find(path, site);
    if (found === 'unknown' || (found !== 'missing' && found.isSocket())) continue;
    const why = found === 'missing' ? 'does not exist' : 'is no socket';
    throw refused(vm, `${what} ${path} ${why}; start the program that listens there first`, { path });
  }
  if (site.isRoot) return;
  const interfaces = await readInterfaces(site);
  for (const { kind, value } of needs.claims) {
    if (kind !== 'tap' || interfaces?.has(value) !== false) continue;
    const remedy = `ip tuntap add ${value} mode tap user USER`;
    throw refused(vm, `tap ${value} does not exist, and its VMM may not make one; make it with: ${remedy}`, {
      tap: value,
    });
  }
}

/** Ports that the VM itself has already (it runs, and this is a check) are no conflict. */
async function refuseTakenPorts(
  claims: readonly HostClaim[],
  { vm }: VmmSite,
  own: readonly HostClaim[],
): Promise<void> {
  for (const claim of claims) {
    if (claim.kind !== 'port' || own.some(mine => collide(mine, claim))) continue;
    if (await isPortFree(parsePortClaim(claim.value))) continue;
    throw refused(
      vm,
      `another program listens on ${claim.value}, which the VM forwards; stop it (ss -lnp shows it), or forward another port`,
      { port: claim.value },
    );
  }
}

async function refuseWithoutKvm(kvm: string, site: VmmSite): Promise<void> {
  const { vm, program, isPrepared, canOpen } = site;
  const isMissing = (await find(kvm, site)) === 'missing';
  if (!isMissing && (await canOpen(kvm))) return;
  // A preStart may load the module; a unit that is not there yet has devices that a hardened daemon does not see.
  if (isMissing && isPrepared) return;
  // A script may run whatever it likes, as a user of its own.
  if (!(await isBinary(program))) return;
  if (!isMissing)
    throw refused(vm, `${kvm} may not be opened by the user of the VMM; put that user into the group kvm`, {
      path: kvm,
    });
  // The other hypervisor that the program knows.
  if ((await find('/dev/mshv', site)) !== 'missing') return;
  throw refused(
    vm,
    `${kvm} does not exist; load the kernel module kvm_intel or kvm_amd, or let the VM be run by "hypervisor": "qemu"`,
    { path: kvm },
  );
}

async function isBinary(program: string): Promise<boolean> {
  const file = await open(program).catch(() => undefined);
  if (file === undefined) return false;
  try {
    const { buffer } = await file.read(Buffer.alloc(4), 0, 4, 0);
    return buffer.toString('latin1') === '\x7fELF';
  } finally {
    await file.close();
  }
}

/** As the VMM will find it. What nobody lets us look at is for the VMM to tell. */
async function find(path: string, { viewOf }: VmmSite): Promise<Stats | 'missing' | 'unknown'> {
  const places = viewOf === undefined ? [path] : [path, `/proc/${viewOf}/root${path}`];
  let isUnknown = false;
  for (const place of places) {
    try {
      return await stat(place);
    } catch (error) {
      const code = systemErrorCode(error);
      isUnknown ||= code !== 'ENOENT' && code !== 'ENOTDIR';
    }
  }
  return isUnknown ? 'unknown' : 'missing';
}

/** Names of the VMM's network interfaces; undefined where they cannot be read. */
async function readInterfaces({ viewOf }: VmmSite): Promise<ReadonlySet<string> | undefined> {
  const text = await readFile(`/proc/${viewOf ?? 'self'}/net/dev`, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  return new Set([...text.matchAll(/^ *([^ :|]+):/gm)].map(([, name = '']) => name));
}

function refused(vm: string, why: string, details: Record<string, string>): VmsecretdError {
  return new VmsecretdError('resource_conflict', `VM ${vm}: ${why}`, { details: { vm, ...details } });
}
