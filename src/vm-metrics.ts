// Each VM for Prometheus: what the daemon knows of it, what its VMM uses of the host, and what its guest's devices move.
import pLimit from 'p-limit';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { DeviceCounter, DeviceCounters } from './hypervisor/hypervisor.js';
import { readCgroupUsage, type Usage } from './system/cgroup.js';
import { readProcessUsage } from './system/procfs.js';
import { VM_STATES } from './vm/state.js';
import type { Vm } from './vm/vm.js';
import type { VmmProcess } from './vm/vmm-process.js';

/** A VMM that hangs delays no more than its own numbers. */
const ANSWER_TIMEOUT_MS = 1_000;
/** So many VMMs are asked at once. */
const CONCURRENCY = 32;

const DEVICE_METRICS: Record<DeviceCounter, [name: string, help: string]> = {
  read_bytes: ['disk_read_bytes_total', 'Bytes that the guest read from a disk'],
  write_bytes: ['disk_written_bytes_total', 'Bytes that the guest wrote to a disk'],
  read_ops: ['disk_reads_total', 'Reads of a disk by the guest'],
  write_ops: ['disk_writes_total', 'Writes to a disk by the guest'],
  rx_bytes: ['network_receive_bytes_total', 'Bytes that the guest received'],
  tx_bytes: ['network_transmit_bytes_total', 'Bytes that the guest sent'],
  rx_frames: ['network_receive_packets_total', 'Frames that the guest received'],
  tx_frames: ['network_transmit_packets_total', 'Frames that the guest sent'],
};

interface Observed {
  vm: Vm;
  usage: Usage;
  /** Undefined where the VMM has none, null where it did not answer. */
  counters: DeviceCounters | undefined | null;
}

export class VmMetrics {
  readonly #listVms: () => Vm[];
  readonly #reset: (() => void)[] = [];
  readonly #write: ((observed: Observed) => void)[] = [];
  readonly #registers: Registry[];

  constructor(registry: Registry, listVms: () => Vm[]) {
    this.#registers = [registry];
    this.#listVms = listVms;
    this.#addFacts();
    this.#addUsage();
    this.#addDevices();
  }

  /** Asks each VM that runs. */
  async refresh(): Promise<void> {
    const limit = pLimit(CONCURRENCY);
    const observed = await Promise.all(this.#listVms().map(vm => limit(() => observe(vm))));
    for (const reset of this.#reset) reset();
    for (const one of observed) for (const write of this.#write) write(one);
  }

  #addFacts(): void {
    const states = this.#gauge('state', 'Whether a VM is in this state', ['state']);
    this.#write.push(({ vm: { name, state: current } }) => {
      for (const state of VM_STATES) states.set({ vm: name, state }, Number(state === current));
    });
    const add = (name: string, help: string, read: (vm: Vm) => number | undefined) => {
      const gauge = this.#gauge(name, help);
      this.#write.push(({ vm }) => {
        const value = read(vm);
        if (value !== undefined) gauge.set({ vm: vm.name }, value);
      });
    };
    add('ready', 'Whether a VM counts as ready', ({ ready }) => Number(ready));
    add('outdated', 'Whether a VM’s definition or secrets changed since it was started', vm =>
      Number(vm.outdated.length > 0),
    );
    add('start_time_seconds', 'When a VM that runs was booted, since 1970', ({ startedAt }) =>
      startedAt === null ? undefined : Date.parse(startedAt) / 1000,
    );
    add(
      'restarts',
      'How often a VM was started again after it broke or ended, since the daemon started',
      ({ restarts }) => restarts,
    );
  }

  #addUsage(): void {
    const cpu = this.#counter('cpu_seconds_total', 'CPU time of a VM’s processes', ['mode']);
    const memory = this.#gauge('memory_bytes', 'Memory of a VM’s processes, that of its guest included');
    const read = this.#counter(
      'block_read_bytes_total',
      'Bytes that a VM’s processes read from block devices',
    );
    const written = this.#counter(
      'block_written_bytes_total',
      'Bytes that a VM’s processes wrote to block devices',
    );
    this.#write.push(({ vm: { name: vm }, usage }) => {
      const { cpuUserSeconds, cpuSystemSeconds, memoryBytes, blockReadBytes, blockWriteBytes } = usage;
      if (cpuUserSeconds !== undefined) cpu.inc({ vm, mode: 'user' }, cpuUserSeconds);
      if (cpuSystemSeconds !== undefined) cpu.inc({ vm, mode: 'system' }, cpuSystemSeconds);
      if (memoryBytes !== undefined) memory.set({ vm }, memoryBytes);
      if (blockReadBytes !== undefined) read.inc({ vm }, blockReadBytes);
      if (blockWriteBytes !== undefined) written.inc({ vm }, blockWriteBytes);
    });
  }

  #addDevices(): void {
    const answers = this.#gauge('vmm_answers', 'Whether a VMM answered when it was asked for its counters');
    this.#write.push(({ vm: { name: vm }, counters }) => {
      if (counters !== undefined) answers.set({ vm }, Number(counters !== null));
    });
    for (const [key, [name, help]] of Object.entries(DEVICE_METRICS)) {
      const metric = this.#counter(name, help, ['device']);
      this.#write.push(({ vm: { name: vm }, counters }) => {
        for (const [device, { [key as DeviceCounter]: value }] of Object.entries(counters ?? {}))
          if (value !== undefined) metric.inc({ vm, device }, value);
      });
    }
  }

  #gauge<Label extends string = never>(
    name: string,
    help: string,
    labels: Label[] = [],
  ): Gauge<Label | 'vm'> {
    const labelNames: (Label | 'vm')[] = ['vm', ...labels];
    const gauge = new Gauge({ name: `vmsecretd_vm_${name}`, help, labelNames, registers: this.#registers });
    this.#reset.push(() => gauge.reset());
    return gauge;
  }

  #counter<Label extends string = never>(
    name: string,
    help: string,
    labels: Label[] = [],
  ): Counter<Label | 'vm'> {
    const labelNames: (Label | 'vm')[] = ['vm', ...labels];
    const counter = new Counter({
      name: `vmsecretd_vm_${name}`,
      help,
      labelNames,
      registers: this.#registers,
    });
    this.#reset.push(() => counter.reset());
    return counter;
  }
}

async function observe(vm: Vm): Promise<Observed> {
  if (vm.running === undefined) return { vm, usage: {}, counters: undefined };
  const { vmm, control } = vm.running;
  const [usage, counters] = await Promise.all([
    readUsage(vmm),
    control.counters?.(ANSWER_TIMEOUT_MS).catch(() => null),
  ]);
  return { vm, usage, counters };
}

async function readUsage({ id, cgroup }: VmmProcess): Promise<Usage> {
  if ('pid' in id) return readProcessUsage(id.pid, id.startTimeTicks);
  return cgroup === undefined ? {} : readCgroupUsage(cgroup);
}
