// The daemon under test with its VMs: one of many names, all of one small guest.
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildPvhGuest } from '../test/guests/pvh/pvh-guest.js';
import { TestDaemon } from '../test/integration/daemon.js';
import { openUnix } from '../test/integration/unix-api.js';
import { CLOUD_HYPERVISOR, QEMU, STAND_IN, type Vmm } from '../test/integration/vmm.js';
import type { SealedSecret } from './bare-vm.js';
import { durationOf } from './row.js';

const TIMEOUT_MS = 120_000;
const INSTALLED_DAEMON = fileURLToPath(new URL('../bundle/daemon.js', import.meta.url));
const SECRET_CHARACTERS = 64;

/** The real program where it runs; QEMU starts too slowly for a hundred VMs at once. */
export function findVmm({ forMany = false } = {}): Vmm {
  if (CLOUD_HYPERVISOR.skip === false) return CLOUD_HYPERVISOR;
  return forMany || QEMU.skip !== false ? STAND_IN : QEMU;
}

export function namesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `vm-${index}`);
}

export class BenchVms {
  readonly daemon: TestDaemon;
  readonly vmm: Vmm;
  readonly kernel: string;

  private constructor(daemon: TestDaemon, vmm: Vmm) {
    this.daemon = daemon;
    this.vmm = vmm;
    this.kernel = join(daemon.folder, 'guest.elf');
    writeFileSync(this.kernel, buildPvhGuest({ after: 'stay' }));
  }

  static async use<Result>(vmm: Vmm, work: (vms: BenchVms) => Promise<Result>): Promise<Result> {
    const config = { hypervisors: vmm.hypervisors };
    const daemon = await TestDaemon.start({ config, timeoutMs: TIMEOUT_MS, program: INSTALLED_DAEMON });
    try {
      return await work(new BenchVms(daemon, vmm));
    } finally {
      await daemon.close();
    }
  }

  get identity(): string {
    return join(this.daemon.folder, 'identity.txt');
  }

  async seal(count: number): Promise<SealedSecret[]> {
    const secrets = Array.from({ length: count }, (_, index) => ({
      name: `SECRET_${index}`,
      value: `${index} `.padEnd(SECRET_CHARACTERS, 'x'),
    }));
    return Promise.all(
      secrets.map(async secret => ({ ...secret, path: await this.daemon.seal(secret.name, secret.value) })),
    );
  }

  definition(secrets: readonly SealedSecret[] = []): Record<string, unknown> {
    return {
      hypervisor: this.vmm.hypervisor,
      supervisor: 'daemon',
      restart: 'no',
      command: this.vmm.command(this.kernel),
      credentials: Object.fromEntries(secrets.map(({ name, path }) => [name, { age: path }])),
    };
  }

  /**
   * A new daemon that finds the definitions of so many VMs, vm-0, vm-1…
   * @returns milliseconds until it listens
   */
  async restartWith(count: number, secrets: readonly SealedSecret[] = []): Promise<number> {
    const { daemon } = this;
    await daemon.stop();
    rmSync(daemon.definitions, { recursive: true });
    mkdirSync(daemon.definitions);
    const text = JSON.stringify(this.definition(secrets));
    for (const name of namesOf(count)) writeFileSync(join(daemon.definitions, `${name}.json`), text);
    return durationOf(() => daemon.restart());
  }

  /** Whoever has this listens already when a start is asked for. */
  async followConsole(name: string): Promise<{ firstByte: Promise<void> }> {
    const firstByte = openUnix({
      socketPath: this.daemon.socket('vmsecretd'),
      method: 'GET',
      path: `/v1/vms/${name}/console?follow=true`,
      timeoutMs: TIMEOUT_MS,
    }).then(async response => {
      await once(response, 'data');
      response.destroy();
    });
    // The head of the answer comes with its first byte: that the daemon has the request shows in a later one's answer.
    await this.daemon.call('GET', '/v1/health');
    return { firstByte };
  }

  /** All at once, each to its guest's first byte. @returns milliseconds */
  async startAll(names: readonly string[]): Promise<number> {
    const consoles = await Promise.all(names.map(name => this.followConsole(name)));
    return durationOf(() =>
      Promise.all([
        ...names.map(name => this.daemon.act(name, 'start')),
        ...consoles.map(({ firstByte }) => firstByte),
      ]),
    );
  }
}
