// A hypervisor without processes: VMMs that live in memory, keep to the interfaces of the real ones, and break on demand.
import type { Delivery } from '../../src/delivery/deliverers.js';
import { type ErrorCode, VmsecretdError } from '../../src/errors.js';
import type { Hypervisor, VmmControl, VmPlan } from '../../src/hypervisor/hypervisor.js';
import type { StartTools } from '../../src/vm/start-vm.js';
import type { VmmExit, VmmProcess } from '../../src/vm/vmm-process.js';

export type StartFault = 'secrets' | 'spawn' | 'create' | 'crash';

class MemoryVmm implements VmmProcess {
  readonly pid: number;
  readonly id;
  readonly exited: Promise<VmmExit>;
  /** Its API answers nothing, and only SIGKILL ends it. */
  isDeaf = false;
  isGone = false;
  #settle: (exit: VmmExit) => void = () => {};
  readonly #host: MemoryHost;

  constructor(host: MemoryHost, pid: number) {
    this.#host = host;
    this.pid = pid;
    this.id = { pid, startTimeTicks: 1 };
    this.exited = new Promise(resolve => {
      this.#settle = resolve;
    });
  }

  kill(signal: 'SIGTERM' | 'SIGKILL'): void {
    if (this.isDeaf && signal === 'SIGTERM') return;
    void this.end(signal === 'SIGKILL' ? { status: null, signal } : { status: 0, signal: null });
  }

  /** As a process ends: some time after it was asked to. */
  async end(exit: Pick<VmmExit, 'status' | 'signal'>): Promise<void> {
    this.#host.ends += 1;
    await this.#host.pass();
    if (!this.isGone) {
      this.isGone = true;
      this.#host.live.delete(this);
      await this.#host.pass();
      this.#settle({ ...exit, lastWords: '' });
    }
    this.#host.ends -= 1;
  }
}

export class MemoryHost {
  readonly live = new Set<MemoryVmm>();
  readonly nextFaults: StartFault[] = [];
  /** How many VMMs are about to end. */
  ends = 0;
  /** Whether ever two VMMs lived at once. */
  hadTwo = false;
  #pids = 0;
  readonly #delays: readonly number[];
  #delay = 0;

  /** @param delays how many turns of the event loop each step takes, in turn */
  constructor(delays: readonly number[]) {
    this.#delays = delays;
  }

  async pass(): Promise<void> {
    const turns = this.#delays[this.#delay++ % this.#delays.length] ?? 0;
    for (let turn = 0; turn < turns; turn += 1) await new Promise(resolve => setImmediate(resolve));
  }

  prepared = 0;

  async prepare(signal: AbortSignal): Promise<Delivery> {
    this.prepared += 1;
    await this.pass();
    signal.throwIfAborted();
    this.#fail('secrets', 'secret_missing');
    return { credentials: [], notes: [], pack: () => this.pass(), deliver: () => this.pass(), end: () => {} };
  }

  async spawn(signal: AbortSignal): Promise<VmmProcess> {
    await this.pass();
    signal.throwIfAborted();
    this.#fail('spawn', 'vmm_missing');
    this.#pids += 1;
    const vmm = new MemoryVmm(this, this.#pids);
    this.live.add(vmm);
    this.hadTwo ||= this.live.size > 1;
    return vmm;
  }

  /** Of a start on this host, with nothing else in its way. */
  startTools(): StartTools {
    return {
      hypervisor: this.hypervisor(),
      deliverers: {
        prepare: (_preparation, signal) => this.prepare(signal),
        check: async (_preparation, signal) => ({ ...(await this.prepare(signal)), problems: [] }),
      },
      identities: [],
      passphraseFiles: [],
      claimHost: async () => [],
      checkHost: async () => ({ problems: [], unseen: [] }),
      onPhase: () => {},
    };
  }

  hypervisor(): Hypervisor {
    return {
      kind: 'cloud-hypervisor',
      locate: async () => '/vmm',
      servesOneClient: false,
      unit: {
        placeholder: [],
        plan: async () => ({ program: '/vmm', arguments: [], added: [], fifos: [], channels: {} }),
        untilLaunched: async () => undefined,
        admit: async () => {},
      },
      plan: async ({ name }) => planOf(name),
      bringUp: async ({ signal }) => {
        const [vmm] = [...this.live];
        await this.pass();
        signal.throwIfAborted();
        this.#fail('create', 'vmm_refused');
        if (this.#takeFault('crash')) void vmm?.end({ status: 1, signal: null });
        await this.pass();
        signal.throwIfAborted();
        if (vmm === undefined || vmm.isGone) throw new VmsecretdError('vmm_timeout', 'nobody answers');
        return this.#controlOf(vmm);
      },
      isBooted: async () => false,
      isPaused: async () => undefined,
      connect: async () => {
        throw new VmsecretdError('vmm_timeout', 'nobody answers');
      },
    };
  }

  #controlOf(vmm: MemoryVmm): VmmControl {
    const call = async (effect: () => void = () => {}) => {
      await this.pass();
      if (vmm.isGone || vmm.isDeaf) throw new VmsecretdError('vmm_refused', 'nobody listens');
      effect();
    };
    const powerOff = () => void vmm.end({ status: 0, signal: null });
    return {
      version: '0.0.0',
      powerButton: () => call(powerOff),
      shutdown: () => call(powerOff),
      reboot: () => call(),
      pause: () => call(),
      resume: () => call(),
    };
  }

  #fail(fault: StartFault, code: ErrorCode): void {
    if (this.#takeFault(fault))
      throw new VmsecretdError(code, `fault: ${fault}`, { details: { answered: true } });
  }

  #takeFault(fault: StartFault): boolean {
    const at = this.nextFaults.indexOf(fault);
    if (at >= 0) this.nextFaults.splice(at, 1);
    return at >= 0;
  }
}

export function planOf(vm: string): VmPlan {
  return {
    hypervisor: 'cloud-hypervisor',
    vm,
    program: '/vmm',
    arguments: [],
    spawned: ['/vmm'],
    waitsForVm: true,
    fifos: [],
    staticOemStrings: [],
    packing: { kind: 'api', vmConfigText: '{}', limitBytes: 51_200 },
    apiSocket: '/api.sock',
    bootsAfter: [],
    links: [],
    console: undefined,
    channels: {},
    needs: { claims: [], files: [], sockets: [], outputs: [], needsKvm: false },
    view: () => ({ command: ['/vmm'], vmConfig: {}, arguments: [] }),
  };
}
