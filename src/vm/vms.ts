// All VMs: one for each definition, and one for each VMM that still runs without one.

import type { Definition } from '../definition/definition.js';
import type { Definitions } from '../definition/definitions.js';
import { VmsecretdError } from '../errors.js';
import { suggestNearest } from '../nearest-name.js';
import type { Lifecycle } from './lifecycle.js';
import { isLive } from './state.js';
import type { Vm } from './vm.js';

export interface ManagedVm {
  vm: Vm;
  lifecycle: Lifecycle;
}

export interface VmsTools {
  definitions: Definitions;
  build(definition: Definition): ManagedVm;
}

export class Vms {
  readonly #tools: VmsTools;
  readonly #byName = new Map<string, ManagedVm>();

  constructor(tools: VmsTools) {
    this.#tools = tools;
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
    const hint = suggestNearest(name, [...this.#byName.keys()]);
    throw new VmsecretdError('vm_unknown', `There is no VM ${name}.${hint}`, { details: { vm: name } });
  }

  /** The unit that supervises a VM; undefined where none does. */
  unitOf(name: string): string | undefined {
    const definition = this.#byName.get(name)?.vm.definition;
    return definition?.supervisor === 'unit' ? definition.unit : undefined;
  }

  /** Reads all definitions again. A VM that runs keeps running, whatever became of its definition. */
  async reload(): Promise<void> {
    await this.#tools.definitions.load();
    this.#follow();
  }

  /** @throws VmsecretdError definition_invalid, definition_from_file */
  async put(name: string, json: unknown): Promise<{ vm: Vm; created: boolean }> {
    const created = !this.#byName.has(name);
    await this.#tools.definitions.put(name, json);
    this.#follow();
    return { vm: this.get(name).vm, created };
  }

  /** @throws VmsecretdError vm_unknown, state_conflict, definition_from_file */
  async delete(name: string): Promise<void> {
    const { vm } = this.get(name);
    if (isLive(vm.state) || vm.state === 'starting') {
      throw new VmsecretdError(
        'state_conflict',
        `VM ${name} is ${vm.state}: stop it before its definition goes`,
        {
          details: { vm: name, state: vm.state },
        },
      );
    }
    await this.#tools.definitions.delete(name);
    this.#follow();
  }

  close(): void {
    for (const { lifecycle } of this.#byName.values()) lifecycle.close();
  }

  #follow(): void {
    const definitions = new Map(
      this.#tools.definitions.list().map(definition => [definition.name, definition]),
    );
    for (const [name, definition] of definitions) {
      const existing = this.#byName.get(name);
      if (existing === undefined) this.#byName.set(name, this.#tools.build(definition));
      else if (isSupervisedElse(existing.vm, definition)) {
        existing.lifecycle.close();
        this.#byName.set(name, this.#tools.build(definition));
      } else if (JSON.stringify(existing.vm.definition) !== JSON.stringify(definition)) {
        existing.vm.definition = definition;
        existing.vm.publish('definition', { change: 'changed' });
      }
    }
    for (const [name, { vm, lifecycle }] of this.#byName) {
      if (definitions.has(name) || isLive(vm.state) || vm.state === 'starting') continue;
      lifecycle.close();
      this.#byName.delete(name);
    }
  }
}

/** Another supervisor takes over once the VM is down. */
function isSupervisedElse(vm: Vm, { supervisor, unit }: Definition): boolean {
  const isDown = vm.state === 'stopped' || vm.state === 'failed';
  return isDown && (vm.definition.supervisor !== supervisor || vm.definition.unit !== unit);
}
