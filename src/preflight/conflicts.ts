// Refuses a start that another VM or the host itself stands in the way of, naming what and whom, before secrets are read.
//
// INVARIANT: what a VM claims is compared and noted in one step, so of two VMs that start at once one is refused.
import { realpath } from 'node:fs/promises';
import { resolve } from 'node:path';
import type { VmsecretdError } from '../errors.js';
import { type HostClaim, type HostNeeds, type HostReport, isListened } from '../hypervisor/host-needs.js';
import { removeDeadSocket } from '../system/dead-socket.js';
import type { PatientLooks } from '../system/patient-looks.js';
import type { VmEvents } from '../vm/events.js';
import type { Vm } from '../vm/vm.js';
import { lookAtHost, refused, refuseSocketPlace } from './host-look.js';
import { parsePortClaim } from './host-port.js';
import type { VmmSite } from './vmm-site.js';

export interface HostClaimsTools {
  events: VmEvents;
  findVm(name: string): Vm | undefined;
  looks: PatientLooks;
  /** /dev/kvm unless given. */
  kvmPath?: string;
}

/** What to do about something that another VM has. */
const REMEDIES: Record<HostClaim['kind'], string> = {
  'vsock CID': 'give one of them another cid',
  'vsock socket': 'give one of them another socket path',
  'serial socket': 'give one of them another socket path',
  tap: 'give one of them another tap',
  'MAC address': 'give one of them another MAC address',
  'disk image': 'give each its own image, or make it read-only in both',
  port: 'forward another port in one of them',
};

export class HostClaims {
  readonly #byVm = new Map<string, readonly HostClaim[]>();
  readonly #kvm: string;
  readonly #looks: PatientLooks;

  constructor({ events, findVm, looks, kvmPath = '/dev/kvm' }: HostClaimsTools) {
    this.#kvm = kvmPath;
    this.#looks = looks;
    events.subscribe(({ type, vm: name }) => {
      if (type !== 'state') return;
      const vm = findVm(name);
      if (vm?.running !== undefined) this.#byVm.set(name, vm.running.claims);
      else if (vm === undefined || vm.state === 'stopped' || vm.state === 'failed') this.#byVm.delete(name);
    });
  }

  /**
   * Takes what the VM needs for as long as it starts and runs, and removes the sockets that a killed VMM of it left.
   * @returns the claims with their paths resolved @throws VmsecretdError resource_conflict
   */
  async claim(needs: HostNeeds, site: VmmSite): Promise<readonly HostClaim[]> {
    const claims = await this.#resolveClaims(needs, site);
    const { problems } = await this.#look(needs, claims, site, false);
    // Others may have started while the host was looked at.
    const [first] = [...this.#findTaken(claims, site.vm), ...problems];
    if (first !== undefined) throw first;
    this.#byVm.set(site.vm, claims);
    await freeSockets(claims, site);
    return claims;
  }

  /** As claim, without taking anything: all that stands in the way, and what was not looked at. */
  async check(needs: HostNeeds, site: VmmSite): Promise<HostReport> {
    const claims = await this.#resolveClaims(needs, site);
    const { problems, unseen } = await this.#look(needs, claims, site, true);
    return { problems: [...this.#findTaken(claims, site.vm), ...problems], unseen };
  }

  #look(
    needs: HostNeeds,
    claims: readonly HostClaim[],
    site: VmmSite,
    withOutputs: boolean,
  ): Promise<HostReport> {
    const own = this.#byVm.get(site.vm) ?? [];
    const isOwn = (claim: HostClaim) => own.some(mine => collide(mine, claim));
    return lookAtHost({ needs, claims, site, isOwn, withOutputs, looks: this.#looks, kvm: this.#kvm });
  }

  #resolveClaims({ claims }: HostNeeds, site: VmmSite): Promise<HostClaim[]> {
    return Promise.all(claims.map(claim => this.#resolveClaim(claim, site)));
  }

  /** Two paths of one image are one image; two taps of one name in two network namespaces are two. */
  async #resolveClaim(claim: HostClaim, { workingDirectory, networkNamespace }: VmmSite): Promise<HostClaim> {
    if (claim.kind === 'tap' || claim.kind === 'MAC address')
      return networkNamespace === null ? claim : { ...claim, namespace: networkNamespace };
    if (claim.kind !== 'disk image' && !isListened(claim)) return claim;
    const path = resolve(workingDirectory, claim.value);
    const isReached = await this.#looks.reach(path);
    return { ...claim, value: isReached ? await realpath(path).catch(() => path) : path };
  }

  #findTaken(claims: readonly HostClaim[], vm: string): VmsecretdError[] {
    return [...this.#byVm].flatMap(([other, theirs]) => {
      const taken =
        other === vm ? undefined : claims.find(claim => theirs.some(their => collide(claim, their)));
      if (taken === undefined) return [];
      const { kind, value } = taken;
      const why = `VM ${other} has the ${kind} ${value} already; ${REMEDIES[kind]}, or stop VM ${other}`;
      return [refused(vm, why, { other, [kind === 'disk image' ? 'path' : 'value']: value })];
    });
  }
}

function collide(a: HostClaim, b: HostClaim): boolean {
  // A path is one socket, whatever it is for.
  if (isListened(a) && isListened(b)) return a.value === b.value;
  if (a.kind !== b.kind || a.namespace !== b.namespace || (a.shared && b.shared)) return false;
  if (a.kind !== 'port') return a.value === b.value;
  const [mine, theirs] = [parsePortClaim(a.value), parsePortClaim(b.value)];
  const isEverywhere = [mine, theirs].some(({ address }) => address === '0.0.0.0');
  const sameAddress = isEverywhere || mine.address === theirs.address;
  return mine.protocol === theirs.protocol && mine.port === theirs.port && sameAddress;
}

/**
 * Where the VMM shares our view of files: a unit's launcher removes its own.
 * @throws VmsecretdError resource_conflict: another program listens there, or it is no socket
 */
async function freeSockets(claims: readonly HostClaim[], { vm, user, hasOurView }: VmmSite): Promise<void> {
  if (!hasOurView) return;
  for (const claim of claims.filter(isListened)) {
    const problem = refuseSocketPlace(vm, claim, await removeDeadSocket(claim.value, user));
    if (problem !== undefined) throw problem;
  }
}
