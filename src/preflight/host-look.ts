// Looks at what a VM needs of its host, as its VMM will find it: everything is looked at, and what could not be is told.
import type { Stats } from 'node:fs';
import { access, open, stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { systemErrorCode, VmsecretdError } from '../errors.js';
import { type HostClaim, type HostNeeds, type HostReport, isListened } from '../hypervisor/host-needs.js';
import { lookAtSocketPlace, type SocketPlace } from '../system/dead-socket.js';
import type { PatientLooks } from '../system/patient-looks.js';
import { explainHidden } from '../system/sandbox.js';
import { isPortFree, parsePortClaim } from './host-port.js';
import type { VmmSite, WantedAccess } from './vmm-site.js';

export interface HostLook {
  /** Whether to look at what the VMM makes itself, too: it says by itself what keeps it from that. */
  withOutputs: boolean;
  needs: HostNeeds;
  /** Of these needs, with their paths resolved. */
  claims: readonly HostClaim[];
  site: VmmSite;
  looks: PatientLooks;
  /** Whether the VM has this claim already: it runs, and this is a check. */
  isOwn(claim: HostClaim): boolean;
  kvm: string;
}

export async function lookAtHost(look: HostLook): Promise<HostReport> {
  const report = new Findings(look.site);
  await lookAtWorkingDirectory(look, report);
  await lookAtFiles(look, report);
  await lookAtSockets(look, report);
  await lookAtTaps(look, report);
  await lookAtPorts(look, report);
  await lookAtListeners(look, report);
  if (look.withOutputs) await lookAtOutputs(look, report);
  if (look.needs.needsKvm) await lookAtKvm(look, report);
  await report.askAccess();
  return report;
}

export function refuseSocketPlace(
  vm: string,
  { kind, value: path }: HostClaim,
  place: SocketPlace,
): VmsecretdError | undefined {
  const why = {
    free: undefined,
    dead: 'is left of a VMM that was killed, and could not be removed; remove it',
    'listened on':
      'is another program’s, which listens there; stop it (ss -xlp shows it), or name another path',
    'no socket': 'is there already and is no socket; remove it, or name another path',
  }[place];
  return why === undefined ? undefined : refused(vm, `${kind} ${path} ${why}`, { path });
}

/** What the sandbox of vmsecretd.service keeps from VMMs that are its children. */
const BY_A_UNIT = 'let a unit run the VM ("supervisor": "unit"), or leave it out of the command line';

const VERBS: Record<WantedAccess['mode'], string> = {
  read: 'read',
  write: 'read and written',
  overwrite: 'written',
  make: 'written to',
  open: 'opened',
};

class Findings implements HostReport {
  readonly problems: VmsecretdError[] = [];
  readonly unseen: string[] = [];
  readonly #site: VmmSite;
  readonly #wanted: (WantedAccess & { what: string })[] = [];

  constructor(site: VmmSite) {
    this.#site = site;
  }

  refuse(why: string, details: Record<string, string>): void {
    this.problems.push(refused(this.#site.vm, why, details));
  }

  /** What something that runs before the VMM may still make is no problem. */
  refuseMissing(what: string, path: string, remedy: string): void {
    const { preparedBy } = this.#site;
    if (preparedBy === undefined)
      this.refuse(`${what} ${path} does not exist; ${remedy}${explainHidden(path).replace(/^ /, '. ')}`, {
        path,
      });
    else this.unseen.push(`${what} ${path} does not exist; ${preparedBy} may make it`);
  }

  passOver(what: string, path: string): undefined {
    this.unseen.push(`${what} ${path}: vmsecretd may not look at it`);
  }

  /** A VMM that opens it would wait for ever, and so would who starts it there. */
  refuseSilent(what: string, path: string): undefined {
    this.refuse(
      `${what} ${path} does not answer: the file system that it is on hangs; look after its server, or unmount it (umount --lazy)`,
      { path },
    );
  }

  refuseHidden(device: string): void {
    this.refuse(
      `${device} is hidden from vmsecretd, and so from this VMM, by PrivateDevices= of its unit; ${BY_A_UNIT}`,
      { path: device },
    );
  }

  want(what: string, path: string, mode: WantedAccess['mode']): void {
    this.#wanted.push({ what, path, mode });
  }

  /** One question for all: as another user it is a process. */
  async askAccess(): Promise<void> {
    const wanted = this.#wanted;
    if (wanted.length === 0) return;
    const answers = await this.#site.access(wanted);
    const unknown: string[] = [];
    for (const [index, { what, path, mode }] of wanted.entries()) {
      const answer = answers[index] ?? 'unknown';
      if (answer === 'unknown') unknown.push(`${what} ${path}`);
      if (answer !== 'refused') continue;
      if (this.#site.preparedBy !== undefined) {
        this.unseen.push(`${what} ${path}: ${this.#site.preparedBy} may change who may use it`);
        continue;
      }
      this.refuse(
        `${what} ${path} may not be ${VERBS[mode]} by ${this.#site.userName}; namei -l ${path} shows which folder or file keeps it out${this.#site.sandboxHint}`,
        { path },
      );
    }
    if (unknown.length > 0) this.unseen.push(`whether ${this.#site.userName} may use ${unknown.join(', ')}`);
  }
}

async function lookAtWorkingDirectory({ site, looks }: HostLook, report: Findings): Promise<void> {
  const { workingDirectory, ownFolder } = site;
  if (workingDirectory === ownFolder || (await looks.reach(workingDirectory))) return;
  report.refuseSilent('the working directory', workingDirectory);
}

async function lookAtFiles(look: HostLook, report: Findings): Promise<void> {
  for (const { what, path: given, isWritten } of look.needs.files) {
    const path = resolve(look.site.workingDirectory, given);
    const found = await find(what, path, look, report);
    if (found === 'missing') report.refuseMissing(what, path, 'create it, or correct its path');
    else if (found !== undefined) report.want(what, path, isWritten ? 'write' : 'read');
  }
}

async function lookAtSockets(look: HostLook, report: Findings): Promise<void> {
  const { needs, site } = look;
  for (const { what, path: given } of needs.sockets) {
    const path = resolve(site.workingDirectory, given);
    const found = await find(what, path, look, report);
    const remedy = 'start the program that listens there first';
    if (found === 'missing' && site.makesSockets !== undefined)
      report.unseen.push(`${what} ${path} does not exist; ${site.makesSockets} may make it`);
    else if (found === 'missing') report.refuseMissing(what, path, remedy);
    else if (found?.isSocket()) report.want(what, path, 'write');
    else if (found !== undefined) report.refuse(`${what} ${path} is no socket; ${remedy}`, { path });
  }
}

async function lookAtTaps({ needs, site }: HostLook, report: Findings): Promise<void> {
  const taps = needs.claims.filter(({ kind }) => kind === 'tap');
  if (taps.length === 0) return;
  if (site.hasOurView && (await isHidden('/dev/net/tun'))) return report.refuseHidden('/dev/net/tun');
  if (site.isRoot) return;
  for (const { value: tap } of taps) {
    const isThere = await site.hasInterface(tap);
    if (isThere === undefined) report.unseen.push(`tap ${tap}: network interfaces cannot be read`);
    if (isThere !== false) continue;
    const why = `tap ${tap} does not exist`;
    const maker = site.preparedBy ?? site.makesSockets;
    if (maker !== undefined) report.unseen.push(`${why}; ${maker} may make it`);
    else
      report.refuse(
        `${why}, and its VMM may not make one; make it with: ip tuntap add ${tap} mode tap user ${site.userArgument}`,
        { tap },
      );
  }
}

/** Ports that the VM itself has already are no conflict. */
async function lookAtPorts({ claims, isOwn }: HostLook, report: Findings): Promise<void> {
  for (const claim of claims) {
    if (claim.kind !== 'port' || isOwn(claim) || (await isPortFree(parsePortClaim(claim.value)))) continue;
    report.refuse(
      `another program listens on ${claim.value}, which the VM forwards; stop it (ss -lnp shows it), or forward another port`,
      { port: claim.value },
    );
  }
}

/** A socket that a killed VMM left is no problem: a start removes it. */
async function lookAtListeners(look: HostLook, report: Findings): Promise<void> {
  const { claims, site, looks, isOwn } = look;
  for (const claim of claims) {
    if (!isListened(claim) || isOwn(claim)) continue;
    await lookAtFolderOf(claim.kind, claim.value, look, report);
    // Sockets of a mount namespace of its own are out of our reach.
    if (site.preparedBy !== undefined || !site.hasOurView || !(await looks.reach(claim.value))) continue;
    const place = await lookAtSocketPlace(claim.value);
    const problem = place === 'dead' ? undefined : refuseSocketPlace(site.vm, claim, place);
    if (problem !== undefined) report.problems.push(problem);
  }
}

async function lookAtOutputs(look: HostLook, report: Findings): Promise<void> {
  for (const { what, path: given } of look.needs.outputs) {
    const path = resolve(look.site.workingDirectory, given);
    const found = await find(what, path, look, report);
    if (found === 'missing') await lookAtFolderOf(what, path, look, report);
    else if (found !== undefined) report.want(what, path, 'overwrite');
  }
}

async function lookAtFolderOf(of: string, path: string, look: HostLook, report: Findings): Promise<void> {
  const folder = dirname(path);
  if (folder === look.site.ownFolder) return;
  const what = `the folder of the ${of}`;
  const found = await find(what, folder, look, report);
  if (found === 'missing') report.refuseMissing(what, folder, 'create it, or correct the path');
  else if (found !== undefined) report.want(what, folder, 'make');
}

async function lookAtKvm({ kvm, site, looks }: HostLook, report: Findings): Promise<void> {
  // A script may run whatever it likes, as a user of its own.
  if (!(await looks.reach(site.program)) || !(await isBinary(site.program))) return;
  const isMissing = site.hasOurView
    ? !(await exists(kvm))
    : dirname(kvm) === '/dev' && !(await isInKernel(kvm));
  if (!isMissing) {
    const [answer] = await site.access([{ path: kvm, mode: 'open' }]);
    if (answer === 'unknown') report.unseen.push(`whether ${site.userName} may open ${kvm}`);
    if (answer === 'refused')
      report.refuse(
        `${kvm} may not be opened by ${site.userName}; put that user into the group kvm${site.sandboxHint}`,
        {
          path: kvm,
        },
      );
  } else if (site.preparedBy !== undefined)
    report.unseen.push(`${kvm} is not here; ${site.preparedBy} may load its module`);
  // The other hypervisor that the program knows.
  else if (await exists('/dev/mshv')) return;
  else if (await isHidden(kvm)) report.refuseHidden(kvm);
  else
    report.refuse(
      `${kvm} does not exist; load the kernel module kvm_intel or kvm_amd, or run the VM with QEMU without KVM ("hypervisor": "qemu")`,
      { path: kvm },
    );
}

/** The kernel has it, and no device is there. */
async function isHidden(device: string): Promise<boolean> {
  return device.startsWith('/dev/') && !(await exists(device)) && (await isInKernel(device));
}

function isInKernel(device: string): Promise<boolean> {
  return exists(`/sys/devices/virtual/misc/${basename(device)}`);
}

function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    error => !isMissing(error),
  );
}

function isMissing(error: unknown): boolean {
  return ['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '');
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

/** Folders that the sandbox of vmsecretd.service, or of a VM's unit, replaces by its own. */
const OF_EACH_UNIT = /^\/(dev|proc|tmp|var\/tmp|run\/vmsecretd)(\/|$)/;

/** As the VMM will find it. @returns undefined for what cannot be seen from here, which is told */
async function find(
  what: string,
  path: string,
  { site, looks }: HostLook,
  report: Findings,
): Promise<Stats | 'missing' | undefined> {
  if (!site.hasOurView && OF_EACH_UNIT.test(path)) return report.passOver(what, path);
  if (!(await looks.reach(path))) return report.refuseSilent(what, path);
  try {
    return await stat(path);
  } catch (error) {
    return isMissing(error) ? 'missing' : report.passOver(what, path);
  }
}

export function refused(vm: string, why: string, details: Record<string, string>): VmsecretdError {
  return new VmsecretdError('resource_conflict', `VM ${vm}: ${why}`, { details: { vm, ...details } });
}
