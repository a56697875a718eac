// Opens the secrets of a VM as soon as systemd has made its API socket, while systemd goes on to the sandbox of the unit's
// ExecStartPre=, which will ask for them. A hint and no more: a start that finds nothing opened opens them itself.
import type { Definition } from '../../definition/definition.js';
import type { Delivery } from '../../delivery/deliverers.js';

/** Opened for a start that does not come, they are forgotten after so long. */
const KEPT_MS = 2_000;

export interface EarlySecretsOptions {
  open(definition: Definition, signal: AbortSignal): Promise<Delivery>;
  keptMs?: number;
}

interface Opening {
  definition: Definition;
  delivery: Promise<Delivery>;
  abort: AbortController;
  timer: NodeJS.Timeout;
}

export class EarlySecrets {
  readonly #options: EarlySecretsOptions;
  #opening: Opening | undefined;

  constructor(options: EarlySecretsOptions) {
    this.#options = options;
  }

  begin(definition: Definition): void {
    // A socket is told of more than once: systemd makes it, and then gives it to its user.
    if (this.#opening?.definition === definition) return;
    this.forget();
    const abort = new AbortController();
    const delivery = this.#options.open(definition, abort.signal);
    // Who asks for them opens them again, and says what is wrong.
    delivery.catch(() => {});
    const timer = setTimeout(() => this.forget(), this.#options.keptMs ?? KEPT_MS);
    this.#opening = { definition, delivery, abort, timer };
  }

  /** @returns what was opened for this definition, which the caller then ends; undefined where nothing was, or it failed */
  async take(definition: Definition, signal: AbortSignal): Promise<Delivery | undefined> {
    const opening = this.#opening;
    if (opening?.definition !== definition) return undefined;
    this.#opening = undefined;
    clearTimeout(opening.timer);
    const onAbort = () => opening.abort.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      return await opening.delivery;
    } catch {
      return undefined;
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  forget(): void {
    const opening = this.#opening;
    if (opening === undefined) return;
    this.#opening = undefined;
    clearTimeout(opening.timer);
    opening.abort.abort();
    opening.delivery.then(
      delivery => delivery.end(),
      () => {},
    );
  }
}
