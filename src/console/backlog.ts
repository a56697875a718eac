// The last bytes of a stream, copied into blocks: a piece of one byte may be a view of a whole read's buffer, and to keep
// the piece would keep that.
const BLOCK_BYTES = 16 * 1024;

export class Backlog {
  readonly #limitBytes: number;
  /** All but the last are full. */
  #blocks: Buffer[] = [];
  #lastUsed = BLOCK_BYTES;

  /** Keeps that much, and takes no more than a block beyond it. */
  constructor(limitBytes: number) {
    this.#limitBytes = limitBytes;
  }

  get length(): number {
    return Math.min(this.#limitBytes, this.#heldBytes);
  }

  append(bytes: Buffer): void {
    for (let at = Math.max(0, bytes.length - this.#limitBytes); at < bytes.length; ) {
      const copied = bytes.copy(this.#lastBlock(), this.#lastUsed, at);
      at += copied;
      this.#lastUsed += copied;
    }
    while (this.#heldBytes - BLOCK_BYTES >= this.#limitBytes) this.#blocks.shift();
  }

  /** A copy. */
  read(): Buffer {
    const all = Buffer.concat(this.#blocks, this.#heldBytes);
    return all.subarray(Math.max(0, all.length - this.#limitBytes));
  }

  clear(): void {
    this.#blocks = [];
    this.#lastUsed = BLOCK_BYTES;
  }

  get #heldBytes(): number {
    return this.#blocks.length * BLOCK_BYTES - (BLOCK_BYTES - this.#lastUsed);
  }

  #lastBlock(): Buffer {
    const last = this.#blocks.at(-1);
    if (last !== undefined && this.#lastUsed < BLOCK_BYTES) return last;
    const block = Buffer.alloc(BLOCK_BYTES);
    this.#blocks.push(block);
    this.#lastUsed = 0;
    return block;
  }
}
