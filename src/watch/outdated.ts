// Watches what live VMs were made of, and says of each what changed since.
//
// INVARIANTS
// - Watchers are there for VMs with a VMM only, and no file is read but after a change or when a VMM appears.
// - One round at a time asks for digests, for all VMs that were touched meanwhile: a swap of all secrets is one round.
// - A source that cannot be read now leaves the last verdict: in the middle of a swap nothing is known.
// - The same state of things restarts or refreshes a VM once, so that what that does not correct does not repeat it for ever.

import { join } from 'node:path';
import { fileOf, kindOf, watchedPaths } from '../definition/credential-source.js';
import type { Definition } from '../definition/definition.js';
import { digestDefinition } from '../definition/definition-digest.js';
import type { PreparedCredential } from '../delivery/protocol.js';
import type { NamedSource } from '../secrets/source.js';
import type { PathWatch, WatchedPath } from '../system/path-watch.js';

import type { PatientLooks } from '../system/patient-looks.js';
import type { VmEvents, VmEventType } from '../vm/events.js';

import type { RunningVm } from '../vm/start-vm.js';
import type { Vm } from '../vm/vm.js';

export interface OutdatedTools {
  events: VmEvents;
  findVm(name: string): Vm | undefined;
  pathWatch: PathWatch;
  looks: Pick<PatientLooks, 'readLink'>;
  /** As Deliverers.digest. */
  digest(sources: NamedSource[]): Promise<readonly (string | null)[]>;
  /** Whether its file says something else by now. */
  isStale(definition: Definition): Promise<boolean>;
  /** Reads the definitions again: the file of a live VM changed. */
  reload(): Promise<void>;
  /** For `onChange: "restart"`; tells by itself what goes wrong. */
  restart(vm: Vm): Promise<void>;
  /** For `onChange: "refresh"`; tells by itself what goes wrong. */
  refresh(vm: Vm): Promise<void>;
  onProblem(error: unknown): void;
}

/** microvm.nix keeps two links beside a VM: what is installed, and what the VM was booted from. */
export interface MicrovmLinks {
  current: string | undefined;
  booted: string | undefined;
}

interface Followed {
  vm: Vm;
  running: RunningVm;
  directory: string | undefined;
  unwatch: (() => void)[];
  /** Settles once changes are told, and it was compared or is about to be. */
  isFollowed: Promise<void>;
  isGone: boolean;
}

/** What may change a verdict: a guest that was reset has lost what it was given since its boot. */
const TRACKED: readonly VmEventType[] = ['state', 'exit', 'definition', 'reset', 'guest-part', 'refreshed'];

/** After a round that failed: the deliverer may have been ended. */
const RETRY_MS = 1_000;

export class OutdatedWatch {
  readonly #tools: OutdatedTools;
  readonly #followed = new Map<string, Followed>();
  readonly #unsubscribe: () => void;
  readonly #actedFor = new Map<string, string>();
  #touched = new Set<Followed>();
  #round: Promise<void> | undefined;
  #reload: Promise<void> | undefined;
  #reloadAgain = false;
  #retry: NodeJS.Timeout | undefined;

  constructor(tools: OutdatedTools) {
    this.#tools = tools;
    this.#unsubscribe = tools.events.subscribe(({ type, vm }) => {
      if (TRACKED.includes(type)) this.#track(vm);
    });
  }

  /** Compares all VMs that run with what they were made of, as it is now; settles when the verdicts are there. */
  async compareNow(): Promise<void> {
    const followed = [...this.#followed.values()];
    await Promise.all(followed.map(({ isFollowed }) => isFollowed));
    for (const one of followed) this.#touch(one);
    await this.#reload;
    await this.#round;
  }

  close(): void {
    this.#unsubscribe();
    clearTimeout(this.#retry);
    for (const followed of this.#followed.values()) this.#drop(followed);
  }

  #track(name: string): void {
    const vm = this.#tools.findVm(name);
    const followed = this.#followed.get(name);
    if (followed?.vm === vm && followed?.running === vm?.running && followed !== undefined) {
      this.#touch(followed);
      return;
    }
    if (followed !== undefined) this.#drop(followed);
    if (vm?.running !== undefined) {
      this.#follow(vm, vm.running);
    }
  }

  #drop(followed: Followed): void {
    followed.isGone = true;
    for (const unwatch of followed.unwatch) unwatch();
    this.#touched.delete(followed);
    this.#followed.delete(followed.vm.name);
  }

  #follow(vm: Vm, running: RunningVm): void {
    const followed: Followed = {
      vm,
      running,
      directory: undefined,
      unwatch: [],
      isFollowed: Promise.resolve(),
      isGone: false,
    };
    this.#followed.set(vm.name, followed);
    followed.isFollowed = this.#watchAll(followed).catch(error => this.#tools.onProblem(error));
  }

  async #watchAll(followed: Followed): Promise<void> {
    const { vm, running } = followed;
    followed.directory = directoryOf(vm.definition, running);
    const { directory } = followed;
    const links: WatchedPath[] =
      directory === undefined ? [] : ['current', 'booted'].map(name => ({ link: join(directory, name) }));
    const paths = comparableSources(vm.definition, running).flatMap(({ source }) => watchedPaths(source));
    await this.#watch(followed, [...paths, ...links], () => this.#touch(followed));
    if (vm.definition.origin === 'file') {
      await this.#watch(followed, [vm.definition.path], () => this.#reloadDefinitions());
      if (await this.#tools.isStale(vm.definition)) this.#reloadDefinitions();
    }
    this.#touch(followed);
  }

  async #watch(followed: Followed, paths: readonly WatchedPath[], onChange: () => void): Promise<void> {
    if (followed.isGone || paths.length === 0) return;
    const unwatch = await this.#tools.pathWatch.watch(paths, onChange);
    if (followed.isGone) unwatch();
    else followed.unwatch.push(unwatch);
  }

  #touch(followed: Followed): void {
    if (followed.isGone) return;
    this.#touched.add(followed);
    this.#round ??= this.#runRounds();
  }

  async #runRounds(): Promise<void> {
    while (this.#touched.size > 0) {
      const touched = [...this.#touched];
      this.#touched = new Set();
      try {
        await this.#check(touched);
      } catch (error) {
        // Such as all of them, once this is closed.
        if (touched.every(({ isGone }) => isGone)) continue;
        this.#tools.onProblem(error);
        this.#retry = setTimeout(() => {
          for (const followed of touched) this.#touch(followed);
        }, RETRY_MS);
      }
    }
    // With the last look at what was touched, not a moment later: a touch in between would wait for ever.
    this.#round = undefined;
  }

  async #check(touched: readonly Followed[]): Promise<void> {
    const asked = touched.map(({ vm, running }) => comparableSources(vm.definition, running));
    const answers = await this.#digest(asked.flat());
    for (const [index, followed] of touched.entries()) {
      const sources = asked[index] ?? [];
      const digests = new Map(sources.map(source => [source.credential, answers.get(source) ?? null]));
      const links = await this.#readLinks(followed.directory);
      if (followed.isGone) continue;
      const { vm, running } = followed;
      const reasons = findReasons({
        definition: vm.definition,
        running,
        digests,
        links,
        before: vm.outdated,
      });
      vm.becomeOutdated(reasons);
      const state = JSON.stringify([reasons, digestDefinition(vm.definition), [...digests], links.current]);
      if (reasons.length > 0) this.#act(vm, reasons, state);
    }
  }

  async #digest(sources: readonly NamedSource[]): Promise<Map<NamedSource, string | null>> {
    if (sources.length === 0) return new Map();
    const digests = await this.#tools.digest([...sources]);
    return new Map(sources.map((source, index) => [source, digests[index] ?? null]));
  }

  async #readLinks(directory: string | undefined): Promise<MicrovmLinks> {
    const read = async (name: string) =>
      directory === undefined
        ? undefined
        : ((await this.#tools.looks.readLink(join(directory, name))) ?? undefined);
    return { current: await read('current'), booted: await read('booted') };
  }

  /** @param reasons why it is outdated */
  #act(vm: Vm, reasons: readonly string[], state: string): void {
    const { onChange } = vm.definition;
    if (onChange === 'report' || vm.state !== 'running') return;
    // A refresh brings no other definition; a guest that comes anew is asked anew.
    if (onChange === 'refresh' && !reasons.some(reason => reason.startsWith('credential '))) return;
    const acted = onChange === 'refresh' ? `${state} ${vm.guestBoot}` : state;
    if (this.#actedFor.get(vm.name) === acted) return;
    this.#actedFor.set(vm.name, acted);
    void this.#tools[onChange](vm);
  }

  /** Many VMs have their definitions in one folder: while one reload runs, all others are one more. */
  #reloadDefinitions(): void {
    this.#reloadAgain = true;
    this.#reload ??= this.#runReloads();
  }

  async #runReloads(): Promise<void> {
    while (this.#reloadAgain) {
      this.#reloadAgain = false;
      await this.#tools.reload().catch(error => this.#tools.onProblem(error));
    }
    this.#reload = undefined;
  }
}

export interface Comparison {
  definition: Definition;
  /** What the VM was created with. */
  running: Pick<RunningVm, 'credentials' | 'definitionDigest'>;
  /** Of sources as they are now, by credential; null for one that cannot be read. */
  digests: ReadonlyMap<string, string | null>;
  links: MicrovmLinks;
  /** The verdict so far. */
  before: readonly string[];
}

/** @returns such as `definition`, `credential API_KEY`, `current`, in this order */
export function findReasons({ definition, running, digests, links, before }: Comparison): string[] {
  const reasons = digestDefinition(definition) === running.definitionDigest ? [] : ['definition'];
  for (const credential of running.credentials) {
    const reason = `credential ${credential.name}`;
    const now = digests.get(credential.name);
    const isChanged =
      now === null ? before.includes(reason) : now !== undefined && now !== digestOf(credential);
    if (isChanged) reasons.push(reason);
  }
  const { current, booted } = links;
  if (current !== undefined && booted !== undefined && current !== booted) reasons.push('current');
  return reasons;
}

/** A credential whose source is declared otherwise by now is the definition's change, and cannot be compared. */
function comparableSources(definition: Definition, running: RunningVm): NamedSource[] {
  return running.credentials.flatMap(({ name, source: kind, path }) => {
    const source = definition.credentials[name];
    if (source === undefined || watchedPaths(source).length === 0) return [];
    if (kindOf(source) !== kind || fileOf(source) !== path) return [];
    return [{ vm: definition.name, credential: name, source }];
  });
}

function digestOf({ ciphertextDigest, digest }: PreparedCredential): string | undefined {
  return ciphertextDigest ?? digest;
}

function directoryOf(definition: Definition, running: RunningVm): string | undefined {
  return definition.supervisor === 'unit' ? running.workingDirectory : definition.workingDirectory;
}
