// All VMs: one for each definition, and one for each VMM that still runs without one.
import { basename } from 'node:path';
import pLimit from 'p-limit';
import type { Definition } from '../definition/definition.js';
import type { Definitions } from '../definition/definitions.js';
import { VmsecretdError } from '../errors.js';
import { suggestNearest } from '../nearest-name.js';
import type { VmEvents } from './events.js';
import type { Lifecycle } from './lifecycle.js';
import { isLive } from './state.js';
import type { Vm } from './vm.js';
import { WorkingLifecycle } from './working-lifecycle.js';

export interface ManagedVm {
  vm: Vm;
  lifecycle: WorkingLifecycle;
}

export interface VmsTools {
  definitions: Definitions;
  events: VmEvents;
  build(definition: Definition): { vm: Vm; lifecycle: Lifecycle };
}

/** Nothing else changes definitions until it settles. */
export type RequireSeen = (existing: Definition | undefined) => Promise<void>;

export class Vms {
  /** What is there at first is no news. */
  #isLoaded = false;
  readonly #tools: VmsTools;
  readonly #byName = new Map<string, ManagedVm>();
  /** One change of the definitions after the other: what a reload has read may be old by the time it is taken over. */
  readonly #change = pLimit(1);
  readonly #unsubscribe: () => void;

  constructor(tools: VmsTools) {
    this.#tools = tools;
    this.#unsubscribe = tools.events.subscribe(({ type, vm, state }) => {
      if (type !== 'state' || (state !== 'stopped' && state !== 'failed')) return;
      // After its lifecycle has done what the end of a VM asks for.
      setImmediate(() => this.#settle(vm));
    });
  }

  list(): Vm[] {
    return [...this.#byName.values()].map(({ vm }) => vm).sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  find(name: string): ManagedVm | undefined {
    return this.#byName.get(name);
  }

  /** @throws VmsecretdError vm_unknown */
  get(name: string): ManagedVm {
    const found = this.#byName.get(name);
    if (found !== undefined) return found;
    const invalid = this.#tools.definitions.problems.find(({ path }) => basename(path) === `${name}.json`);
    // Nobody meant the one with the nearest name.
    const hint =
      invalid === undefined
        ? suggestNearest(name, [...this.#byName.keys()])
        : ` Its file ${invalid.path} is invalid; vmsecretctl reload says why.`;
    throw new VmsecretdError('vm_unknown', `There is no VM ${name}.${hint}`, { details: { vm: name } });
  }

  /** The unit that supervises a VM; undefined where none does. */
  unitOf(name: string): string | undefined {
    const definition = this.#byName.get(name)?.vm.definition;
    return definition?.supervisor === 'unit' ? definition.unit : undefined;
  }

  /** Keeps changes of the definitions waiting until the work is done. */
  exclusively(work: () => Promise<void>): Promise<void> {
    return this.#change(work);
  }

  /** Reads all definitions again. A VM that runs keeps running, whatever became of its definition. */
  reload(): Promise<void> {
    return this.#change(async () => {
      await this.#tools.definitions.load();
      this.#follow();
    });
  }

  /**
   * A VMM that outlived an earlier daemon keeps the supervisor that started it, and its VM is there even where its
   * definition is gone. To be called before it is adopted.
   */
  recall(recorded: Definition): void {
    const declared = this.#tools.definitions.get(recorded.name);
    if (declared !== undefined && !isSupervisedElse(recorded, declared)) return;
    this.#rebuild(declared === undefined ? recorded : supervisedAs(declared, recorded));
  }

  /** Forgets VMs that neither run nor have a definition. */
  prune(): void {
    for (const name of [...this.#byName.keys()]) this.#pruneOne(name);
  }

  #pruneOne(name: string): void {
    const managed = this.#byName.get(name);
    if (managed === undefined || isInUse(managed)) return;
    if (this.#tools.definitions.get(name) !== undefined) return;
    managed.lifecycle.close();
    this.#byName.delete(name);
    managed.vm.publish('definition', { change: 'removed' });
  }

  /**
   * @param requireSeen is given the definition that this one replaces, and throws where it must not
   * @throws VmsecretdError definition_invalid, definition_from_file
   */
  put(name: string, json: unknown, requireSeen?: RequireSeen): Promise<{ vm: Vm; created: boolean }> {
    return this.#change(async () => {
      await requireSeen?.(this.#tools.definitions.get(name));
      const created = !this.#byName.has(name);
      await this.#tools.definitions.put(name, json);
      this.#follow();
      return { vm: this.get(name).vm, created };
    });
  }

  /** @throws VmsecretdError vm_unknown, state_conflict, definition_from_file */
  delete(name: string, requireSeen?: RequireSeen): Promise<void> {
    return this.#change(async () => {
      await requireSeen?.(this.get(name).vm.definition);
      await this.#delete(name);
    });
  }

  async #delete(name: string): Promise<void> {
    const managed = this.get(name);
    const { vm } = managed;
    if (isInUse(managed)) {
      const what = managed.lifecycle.isWorking ? 'is being started, stopped or restarted' : `is ${vm.state}`;
      throw new VmsecretdError('state_conflict', `VM ${name} ${what}: stop it before its definition goes`, {
        details: { vm: name, state: vm.state },
      });
    }
    await this.#tools.definitions.delete(name);
    this.#follow();
  }

  /** Starts what has `autostart` and is down. */
  autostart(): void {
    for (const { vm, lifecycle } of this.#byName.values()) {
      if (!vm.definition.autostart || vm.state !== 'stopped') continue;
      // A start that fails is told by the VM's own problem.
      lifecycle.startUnasked().catch(() => {});
    }
  }

  /** Stops the VMs whose VMMs are children of this process. */
  async stopChildren(): Promise<void> {
    const children = [...this.#byName.values()].filter(
      managed => managed.vm.definition.supervisor === 'daemon' && isInUse(managed),
    );
    await Promise.allSettled(children.map(({ lifecycle }) => lifecycle.stop()));
  }

  close(): void {
    this.#unsubscribe();
    for (const { lifecycle } of this.#byName.values()) lifecycle.close();
  }

  #follow(): void {
    for (const definition of this.#tools.definitions.list()) {
      const { name } = definition;
      const existing = this.#byName.get(name)?.vm;
      if (existing === undefined) {
        const added = this.#build(definition);
        this.#byName.set(name, added);
        if (this.#isLoaded) added.vm.publish('definition', { change: 'added' });
      }
      this.#followSupervisor(name);
      const { vm } = this.#byName.get(name) ?? {};
      if (vm === undefined || vm !== existing) continue;
      const next = supervisedAs(definition, vm.definition);
      if (JSON.stringify(vm.definition) === JSON.stringify(next)) continue;
      vm.redefine(next);
    }
    this.prune();
    this.#isLoaded = true;
  }

  /** Another supervisor takes over once the VM is down; until then it stays with the one that runs it. */
  #followSupervisor(name: string): void {
    const managed = this.#byName.get(name);
    const declared = this.#tools.definitions.get(name);
    if (managed === undefined || declared === undefined || isInUse(managed)) return;
    if (isSupervisedElse(managed.vm.definition, declared)) this.#rebuild(declared);
  }

  #build(definition: Definition): ManagedVm {
    const { vm, lifecycle } = this.#tools.build(definition);
    const onIdle = () => {
      if (this.#byName.get(vm.name)?.vm === vm) this.#settle(vm.name);
    };
    return { vm, lifecycle: new WorkingLifecycle(lifecycle, onIdle) };
  }

  /** What was put off while a VM worked or ran: its definition may be gone, or name another supervisor. */
  #settle(name: string): void {
    this.#followSupervisor(name);
    this.#pruneOne(name);
  }

  #rebuild(definition: Definition): void {
    const before = this.#byName.get(definition.name);
    before?.lifecycle.close();
    const rebuilt = this.#build(definition);
    this.#byName.set(definition.name, rebuilt);
    if (before !== undefined) rebuilt.vm.publish('definition', { change: 'changed' });
  }
}

/** Its state alone does not tell: between the stop and the start of a restart a VM is stopped. */
function isInUse({ vm, lifecycle }: ManagedVm): boolean {
  return isLive(vm.state) || vm.state === 'starting' || lifecycle.isWorking;
}

function isSupervisedElse(a: Definition, b: Definition): boolean {
  return a.supervisor !== b.supervisor || a.unit !== b.unit;
}

function supervisedAs(definition: Definition, { supervisor, unit }: Definition): Definition {
  return { ...definition, supervisor, unit };
}
