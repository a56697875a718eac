import { inspect } from 'node:util';

/**
 * Plaintext of one secret. It prints as `[secret]` everywhere and opens only in a callback;
 * whoever made it wipes it in a `finally`.
 */
export class SecretValue {
  readonly #bytes: Buffer;

  /** Takes the buffer over: the caller must not keep or change it. */
  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get sizeBytes(): number {
    return this.#bytes.length;
  }

  /** Runs `use` on the plaintext; what it returns must not hold on to the buffer. */
  open<Result>(use: (bytes: Buffer) => Result): Result {
    return use(this.#bytes);
  }

  /** Overwrites this copy. The runtime may hold others: that is why deliverers are ended after use. */
  wipe(): void {
    this.#bytes.fill(0);
  }

  toString(): string {
    return '[secret]';
  }

  toJSON(): string {
    return '[secret]';
  }

  [inspect.custom](): string {
    return '[secret]';
  }
}
