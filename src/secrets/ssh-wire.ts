// SSH's wire encoding (RFC 4251): length-prefixed strings. Reads share memory with the source.

export class SshReader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Throws RangeError past the end, as Node's buffers do. */
  uint32(): number {
    const value = this.#bytes.readUInt32BE(this.#offset);
    this.#offset += 4;
    return value;
  }

  string(): Buffer {
    const length = this.uint32();
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError('a string goes past the end');
    const value = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return value;
  }

  text(): string {
    return this.string().toString('latin1');
  }

  /** The next bytes, whatever they are. */
  raw(length: number): Buffer {
    const end = this.#offset + length;
    if (end > this.#bytes.length) throw new RangeError('it ends early');
    const value = this.#bytes.subarray(this.#offset, end);
    this.#offset = end;
    return value;
  }
}

export function sshString(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(bytes.length);
  return Buffer.concat([length, bytes]);
}
