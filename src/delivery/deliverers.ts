// Forks deliverers ahead of time and lends them to starts.
//
// INVARIANTS
// - At most one deliverer takes new work; one more, warm and never used, is the spare.
// - A deliverer that was used is killed as soon as no start waits for it, and its memory goes with it.
// - This process never gets a value: protocol.ts has no message that could carry one.
import type { Socket } from 'node:net';
import type { Destination, VmmApi } from '../hypervisor/hypervisor.js';
import type { NamedSource } from '../secrets/source.js';
import {
  DelivererProcess,
  type DeliverersOptions,
  delivererGone,
  type Question,
} from './deliverer-process.js';
import type {
  CheckResult,
  DelivererResult,
  Packaging,
  Preparation,
  PreparationResult,
  ServeResult,
  Serving,
} from './protocol.js';

/** A warm-up takes some 170 ms of a CPU, and its fork stops this process: the guest that just started boots first. */
const WARM_UP_DELAY_MS = 50;

/** Values of one moment, for a guest that is told to ask for them. */
export interface OpenedRefresh extends PreparationResult {
  /** As Deliverers.serve, with these values. */
  serve(socket: Socket, serving: Serving, signal: AbortSignal): Promise<ServeResult>;
  end(): void;
}

/** Credentials of one start that are ready to be handed over. */
export interface Delivery extends PreparationResult {
  /** For a preparation without packaging. @throws VmsecretdError as Deliverers.prepare does of its packaging */
  pack(packaging: Packaging, signal: AbortSignal): Promise<void>;
  /** @param signal ends the wait for a VMM that does not take them */
  deliver(destination: Destination, signal: AbortSignal): Promise<void>;
  /** Ends this start's claim on the deliverer; always called, whatever happened. */
  end(): void;
}

export class Deliverers {
  readonly #options: DeliverersOptions;
  #active: DelivererProcess | undefined;
  #spare: DelivererProcess | undefined;
  #closed = false;

  constructor(options: DeliverersOptions) {
    this.#options = options;
  }

  /** Forks the spare, so that the next start finds it warm. */
  warmUp(): void {
    if (!this.#closed) this.#spare ??= new DelivererProcess(this.#options);
  }

  /** Reads, decrypts and checks; all or nothing. @throws VmsecretdError with the code of what is wrong */
  async prepare(preparation: Preparation, signal: AbortSignal): Promise<Delivery> {
    const { claim, end } = this.#hold();
    try {
      const result = await claim.request({ verb: 'prepare', preparation }, signal);
      if (result === null || !('credentials' in result)) throw delivererGone();
      return {
        ...result,
        pack: async (packaging, packSignal) => {
          await claim.request({ verb: 'pack', packaging }, packSignal);
        },
        deliver: async (destination, deliverSignal) => {
          await claim.request({ verb: 'deliver', destination }, deliverSignal);
        },
        end,
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** As prepare, for a guest that runs already. */
  async open(preparation: Preparation, signal: AbortSignal): Promise<OpenedRefresh> {
    const { deliverer, claim, end } = this.#hold();
    try {
      const result = await claim.request({ verb: 'open', preparation }, signal);
      if (result === null || !('notes' in result)) throw delivererGone();
      return {
        ...result,
        serve: (socket, serving, serveSignal) =>
          this.#serve(deliverer, socket, { ...serving, refresh: claim.id }, serveSignal),
        end,
      };
    } catch (error) {
      end();
      throw error;
    }
  }

  /** Hands a guest's connection over, which is closed here. Settles when it is answered, or cannot be. */
  serve(socket: Socket, serving: Serving, signal: AbortSignal): Promise<ServeResult> {
    return this.#serve(this.#borrow(), socket, serving, signal);
  }

  async #serve(
    deliverer: DelivererProcess,
    socket: Socket,
    serving: Serving,
    signal: AbortSignal,
  ): Promise<ServeResult> {
    const { claim, end } = this.#hold(deliverer);
    try {
      const result = await claim.request({ verb: 'serve', serving }, signal, socket);
      if (result === null || !('outcome' in result)) throw delivererGone();
      return result;
    } finally {
      end();
    }
  }

  /** As prepare, and everything is told that is wrong; nothing is kept. @throws VmsecretdError what keeps it from looking */
  async check(preparation: Preparation, signal: AbortSignal): Promise<CheckResult> {
    const result = await this.#ask({ verb: 'check', preparation }, signal);
    if (result === null || !('problems' in result)) throw delivererGone();
    return result;
  }

  /**
   * Digests of sources as they are now, comparable with what a preparation gave; nothing is opened or kept.
   * @returns null for a source that cannot be read
   */
  async digest(sources: NamedSource[], signal: AbortSignal): Promise<readonly (string | null)[]> {
    const result = await this.#ask({ verb: 'digest', sources }, signal);
    if (result === null || !('digests' in result)) throw delivererGone();
    return result.digests;
  }

  close(): void {
    this.#closed = true;
    this.#active?.kill();
    this.#spare?.kill();
    this.#active = undefined;
    this.#spare = undefined;
  }

  /** Asks a VMM for the state of its VM: its answer has the secrets, too. @throws VmsecretdError vmm_refused, vmm_timeout */
  async readVmState(api: VmmApi, signal: AbortSignal): Promise<string> {
    const result = await this.#ask({ verb: 'state', api }, signal);
    if (result === null || !('state' in result)) throw delivererGone();
    return result.state;
  }

  /** One question to a deliverer that keeps nothing of it. */
  async #ask(question: Question, signal: AbortSignal): Promise<DelivererResult> {
    const { claim, end } = this.#hold();
    try {
      return await claim.request(question, signal);
    } finally {
      end();
    }
  }

  /** A claim on a deliverer, which lives until the last claim on it is ended. */
  #hold(deliverer = this.#borrow()) {
    const claim = deliverer.claim();
    const end = () => {
      claim.release();
      this.#giveBack(deliverer);
    };
    return { deliverer, claim, end };
  }

  #borrow(): DelivererProcess {
    if (this.#active?.takesMore !== true) {
      this.#active = this.#spare?.takesMore === true ? this.#spare : new DelivererProcess(this.#options);
      this.#spare = undefined;
    }
    return this.#active;
  }

  #giveBack(deliverer: DelivererProcess): void {
    if (deliverer.claims > 0) return;
    deliverer.kill();
    if (this.#active === deliverer) this.#active = undefined;
    if (this.#options.keepsSpare === false) return;
    setTimeout(() => {
      try {
        this.warmUp();
      } catch {
        // The next start forks its own, or says why it cannot.
      }
    }, WARM_UP_DELAY_MS);
  }
}
