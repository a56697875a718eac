// The one VM of the stand-in: what each request does to it, and a guest that behaves as the PVH test guest would.
// Refuses with StandInRefusal what the real program refuses in that state, in its words.

import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { type AfterPrinting, buildPvhGuest, END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { type SerialConfig, StandInSerial } from './stand-in-serial.js';

export interface StandInVmConfig {
  readonly payload?: { readonly kernel?: string };
  readonly memory?: { readonly size?: number };
  readonly serial?: SerialConfig;
  readonly disks?: readonly object[];
  readonly platform?: { readonly oem_strings?: readonly string[] };
}

/** Status and messages of an answer, outermost first. */
export class StandInRefusal extends Error {
  readonly status: number;
  readonly messages: readonly string[];

  constructor(status: number, ...messages: readonly string[]) {
    super(messages.join(': '));
    this.status = status;
    this.messages = messages;
  }
}

const REBOOT_MS = 20;
const AFTER_PRINTING: readonly AfterPrinting[] = [
  'power-off',
  'stay',
  'reboot',
  'await-power-button',
  'flood',
];

export class StandInVm {
  readonly #powerOff: () => void;
  #config: StandInVmConfig | undefined;
  /** After a vm.boot, a failed one too, there is a VM beside its config. */
  #isBooted = false;
  #state: 'Created' | 'Running' | 'Paused' = 'Created';
  #serial: StandInSerial | undefined;
  #after: AfterPrinting = 'stay';
  #buttonPressed = false;
  #rebooting: NodeJS.Timeout | undefined;

  /** @param powerOff called when the guest has powered off */
  constructor(powerOff: () => void) {
    this.#powerOff = powerOff;
  }

  /** The failure (or the echo) that the kernel's file name asks for. */
  get failure(): string {
    return basename(this.#config?.payload?.kernel ?? '');
  }

  async create(config: StandInVmConfig): Promise<void> {
    if (this.#config) throw refused('The VM could not be created', 'VM is already created');
    this.#config = config;
    await this.#openSerial();
  }

  /** Gives what the guest does next, to be called once the request is answered. */
  async boot(): Promise<() => void> {
    const what = 'The VM could not boot';
    if (!this.#config) throw new StandInRefusal(404, 'Error from API', what, 'VM config is missing');
    if (this.#isBooted) throw refused(what, 'VM is already created');
    this.#isBooted = true;
    this.#after = this.#loadKernel(what);
    if (!this.#serial) await this.#openSerial();
    this.#state = 'Running';
    return () => this.#runGuest();
  }

  view(): object {
    if (!this.#config) {
      throw new StandInRefusal(404, 'Error from API', 'The VM info is not available', 'VM is not created');
    }
    return { config: this.#config, state: this.#state, memory_actual_size: this.#config.memory?.size };
  }

  /** As in the real one, a vm.boot that failed is enough. */
  counters(): object {
    if (!this.#isBooted) throw refused('The VM info is not available', 'VM is not running');
    const unused = { read_bytes: 0, write_bytes: 0, read_ops: 0, write_ops: 0 };
    return Object.fromEntries((this.#config?.disks ?? []).map((_, index) => [`_disk${index}`, unused]));
  }

  pause(): void {
    this.#needRunning('The VM could not be paused');
    if (this.#state === 'Paused') throw refused('The VM could not be paused', 'Cannot pause VM');
    this.#state = 'Paused';
  }

  resume(): void {
    this.#needRunning('The VM could not resume');
    if (this.#state === 'Running') throw refused('The VM could not resume', 'Cannot resume VM');
    this.#state = 'Running';
    if (this.#buttonPressed) this.pressPowerButton();
  }

  pressPowerButton(): void {
    this.#needRunning('Error triggering power button');
    this.#buttonPressed = true;
    const heard = this.#after === 'await-power-button' && this.failure !== 'hangs-on-stop';
    if (heard && this.#state === 'Running') setImmediate(this.#powerOff);
  }

  /** A new serial port and the same configuration, OEM strings included; the old console client is let go. */
  async reboot(): Promise<() => void> {
    if (this.#state === 'Created') {
      throw new StandInRefusal(404, 'Error from API', 'The VM could not reboot', 'VM is not created');
    }
    this.shutdown();
    await this.#openSerial();
    this.#isBooted = true;
    this.#state = 'Running';
    return () => this.#runGuest();
  }

  shutdown(): void {
    this.#needRunning('The VM could not shutdown');
    clearTimeout(this.#rebooting);
    this.#serial?.close();
    this.#serial = undefined;
    this.#isBooted = false;
    this.#buttonPressed = false;
    this.#state = 'Created';
  }

  delete(): void {
    if (this.#state !== 'Created') this.shutdown();
    this.#serial?.close();
    this.#serial = undefined;
    this.#isBooted = false;
    this.#config = undefined;
  }

  #needRunning(what: string): void {
    if (this.#state === 'Created') throw refused(what, 'VM is not running');
  }

  async #openSerial(): Promise<void> {
    const echoes = this.failure === 'echoes-input';
    this.#serial = new StandInSerial(this.#config?.serial ?? {}, { echoes });
    await this.#serial.open();
  }

  /** Which of the test guests the file is; the stand-in runs no other. */
  #loadKernel(what: string): AfterPrinting {
    const path = this.#config?.payload?.kernel;
    if (path === undefined) throw refused(what, 'Failed to validate config', 'No bootitem provided');
    if (this.failure === 'refuses-boot') throw refused(what, 'Cannot create the hypervisor VM');
    let kernel: Buffer;
    try {
      kernel = readFileSync(path);
    } catch {
      throw refused(what, 'Cannot open kernel file', 'No such file or directory (os error 2)');
    }
    const after = AFTER_PRINTING.find(candidate => buildPvhGuest({ after: candidate }).equals(kernel));
    if (after === undefined) throw refused(what, 'Cannot load the kernel into memory', 'Invalid bzImage');
    return after;
  }

  #runGuest(): void {
    const strings = this.#config?.platform?.oem_strings ?? [];
    this.#serial?.print([...strings, END_OF_OEM_STRINGS, ''].join('\n'));
    if (this.#after === 'power-off') this.#powerOff();
    if (this.#after === 'flood') this.#serial?.flood();
    if (this.#after === 'reboot') {
      this.#rebooting = setTimeout(() => void this.reboot().then(run => run()), REBOOT_MS);
    }
  }
}

function refused(what: string, ...why: readonly string[]): StandInRefusal {
  return new StandInRefusal(500, 'Error from API', what, ...why);
}
