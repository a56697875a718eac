// Collects what happens and waits for it, with a deadline instead of a sleep.
import { EventEmitter } from 'node:events';

export class Changes<Item> {
  readonly seen: Item[] = [];
  readonly #emitter = new EventEmitter().setMaxListeners(0);

  push(item: Item): void {
    this.seen.push(item);
    this.#emitter.emit('push');
  }

  /** Everything so far is known: only what comes from now on counts. */
  forget(): void {
    this.seen.length = 0;
  }

  /** @param what the condition in words, for the error at the deadline */
  until(what: string, isMet: (seen: readonly Item[]) => boolean, timeoutMs = 60_000): Promise<void> {
    return new Promise((resolve, reject) => {
      const end = () => {
        clearTimeout(deadline);
        this.#emitter.off('push', look);
      };
      const deadline = setTimeout(() => {
        end();
        reject(new Error(`not within ${timeoutMs} ms: ${what}; seen: ${JSON.stringify(this.seen)}`));
      }, timeoutMs);
      const look = () => {
        if (!isMet(this.seen)) return;
        end();
        resolve();
      };
      this.#emitter.on('push', look);
      look();
    });
  }
}
