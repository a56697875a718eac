// VMs of units for systemd-machined: what their launcher registers, and the socket on which machinectl controls each of them.
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { serveVarlink } from '../../system/varlink.js';
import type { VmEvents } from '../../vm/events.js';
import type { Vm } from '../../vm/vm.js';
import type { ManagedVm } from '../../vm/vms.js';
import { type MachineInstanceTools, machineInstance } from './machine-instance.js';

/** On a host that has it: systemd 257 and later make it at boot. */
const MACHINED_SOCKET = '/run/systemd/machine/io.systemd.Machine';

export interface MachinesTools extends Pick<MachineInstanceTools, 'version'> {
  runtimeDirectory: string;
  events: VmEvents;
  find(name: string): ManagedVm | undefined;
  logger: MachineInstanceTools['logger'];
  machinedSocket?: string;
}

export class Machines {
  readonly #tools: MachinesTools;
  readonly #unsubscribe: () => void;
  /** What ends each; one that cannot be listened on is undefined. */
  readonly #open = new Map<string, Promise<(() => Promise<void>) | undefined>>();
  /** Of runs before: until then the place of the next socket is taken. */
  readonly #ended = new Map<string, Promise<void>>();

  constructor(tools: MachinesTools) {
    this.#tools = tools;
    this.#unsubscribe = tools.events.subscribe(({ type, vm: name, state }) => {
      if (type !== 'state') return;
      if (state === 'running') this.#listen(name);
      if (state === 'stopped' || state === 'failed') void this.#end(name);
    });
  }

  /**
   * For the launcher, a line each: `unit`; `machine`, the parameters of io.systemd.Machine.Register but for its leader; `control`, the
   * JSON string of controlAddress, where there is one.
   */
  async describe(vm: Vm): Promise<string> {
    const { name, definition, running } = vm;
    const hasControl = (await this.#open.get(name)) !== undefined;
    const machine = {
      name,
      service: 'vmsecretd',
      class: 'vm',
      ...(running === undefined ? {} : vsockOf(running)),
    };
    const lines = [`unit ${definition.unit}`, `machine ${JSON.stringify(machine)}`];
    if (hasControl) lines.push(`control ${JSON.stringify(this.#pathOf(name))}`);
    return `${lines.join('\n')}\n`;
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    await Promise.all([...this.#open.keys()].map(name => this.#end(name)));
  }

  #pathOf(name: string): string {
    return join(this.#tools.runtimeDirectory, 'machines', `${name}.sock`);
  }

  #listen(name: string): void {
    const { find, events, version, logger, machinedSocket = MACHINED_SOCKET } = this.#tools;
    const managed = find(name);
    if (managed?.vm.definition.supervisor !== 'unit' || this.#open.has(name)) return;
    if (!existsSync(machinedSocket)) return;
    const path = this.#pathOf(name);
    const listening = Promise.resolve(this.#ended.get(name))
      .then(() => mkdir(dirname(path), { recursive: true, mode: 0o700 }))
      .then(() => serveVarlink(path, machineInstance({ ...managed, events, version, logger })))
      .catch(error => {
        logger.warn({ vm: name, err: error }, 'machinectl cannot control this VM');
        return undefined;
      });
    this.#open.set(name, listening);
  }

  #end(name: string): Promise<void> {
    const listening = this.#open.get(name);
    if (listening === undefined) return Promise.resolve();
    this.#open.delete(name);
    const ended = listening.then(end => end?.());
    this.#ended.set(name, ended);
    return ended;
  }
}

/**
 * A CID of cloud-hypervisor is private to its VM, and told to nobody: ssh by machine name would reach another VM, whose CID is the
 * host's. The socket is what systemd-ssh-proxy takes.
 */
function vsockOf({ claims, workingDirectory }: NonNullable<Vm['running']>): object {
  const claimed = (kind: string) => claims.find(claim => claim.kind === kind)?.value;
  const [cid, socket] = [claimed('vsock CID'), claimed('vsock socket')];
  return {
    ...(cid === undefined ? {} : { vSockCid: Number(cid) }),
    ...(socket === undefined ? {} : { sshAddress: `vsock-mux/${resolve(workingDirectory, socket)}` }),
  };
}
