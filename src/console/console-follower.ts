// Who reads a console as it comes. What it has not read yet is kept as bytes, not as the pieces that they came in.
import { Readable } from 'node:stream';
import { Backlog } from './backlog.js';

/** A follower that is this far behind is dropped rather than buffered without end. */
const FOLLOWER_BACKLOG_BYTES = 1024 * 1024;

export class ConsoleFollower extends Readable {
  readonly #unread = new Backlog(FOLLOWER_BACKLOG_BYTES);
  #isAskedFor = false;

  constructor() {
    // One piece at a time: the next is taken from what is unread, as a whole.
    super({ highWaterMark: 1 });
  }

  /** @param bytes whose buffer may be used for others afterwards */
  add(bytes: Buffer): void {
    if (this.#isAskedFor) {
      this.#isAskedFor = false;
      this.push(Buffer.from(bytes));
    } else if (this.#unread.length + bytes.length > FOLLOWER_BACKLOG_BYTES) this.destroy();
    else this.#unread.append(bytes);
  }

  override _read(): void {
    this.#isAskedFor = this.#unread.length === 0;
    if (this.#isAskedFor) return;
    const bytes = this.#unread.read();
    this.#unread.clear();
    this.push(bytes);
  }
}
