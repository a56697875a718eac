// What happens to VMs, as it happens: for GET /v1/events, the log and whoever waits.
import { EventEmitter } from 'node:events';

export type VmEventType =
  | 'state'
  | 'ready'
  | 'reset'
  | 'credentials'
  | 'receipt'
  | 'exit'
  | 'outdated'
  | 'definition'
  | 'on-demand'
  | 'guest-part'
  | 'refreshed'
  | 'refresh_failed'
  | 'stop-step';

export interface VmEventRecord {
  type: VmEventType;
  vm: string;
  /** RFC 3339. */
  at: string;
  [detail: string]: unknown;
}

export class VmEvents {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #now: () => Date;

  constructor(now: () => Date) {
    this.#now = now;
  }

  publish(type: VmEventType, vm: string, details: Record<string, unknown> = {}): void {
    this.#emitter.emit('event', {
      type,
      vm,
      at: this.#now().toISOString(),
      ...details,
    } satisfies VmEventRecord);
  }

  /** @returns a function that ends it */
  subscribe(listener: (event: VmEventRecord) => void): () => void {
    this.#emitter.on('event', listener);
    return () => this.#emitter.off('event', listener);
  }
}
