// The guest's part, played by a peer on the UNIX sockets of the vsock ports: asks for credentials, and takes refreshes.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { computeReceiptDigest } from '../../src/credentials/receipt-digest.js';

const NONCE = 'vmsecretd.nonce';

/** The guest's side of docs/on-demand.md. @param vsock path of the VMM's socket */
export class GuestPeer {
  readonly #vsock: string;

  constructor(vsock: string) {
    this.#vsock = vsock;
  }

  async connect(port: 8890 | 8891): Promise<Socket> {
    const socket = connect(`${this.#vsock}_${port}`);
    await once(socket, 'connect');
    return socket.on('error', () => {});
  }

  /** Sends what a guest sends, and reads until the host ends the connection. */
  async say(words: string | Buffer): Promise<string> {
    const socket = await this.connect(8890);
    socket.write(words);
    return readAll(socket);
  }

  /** @returns the value, or the error's code */
  async get(name: string, unit = 'app.service'): Promise<Buffer | string> {
    const id = randomBytes(16).toString('hex');
    return readAnswer(await this.say(`VMSECRETD_GET=1 ${id} ${unit} ${name}\n`), id);
  }

  async follow(boot: string, onChanged: (change: Change) => Promise<void> | void): Promise<Socket> {
    const socket = await this.connect(8891);
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
      for (;;) {
        const [message, id = '', names = ''] =
          /^VMSECRETD_CHANGED=1 ([0-9a-f]{32})\n((?:.*\n)*?)VMSECRETD_END=\1\n/.exec(text) ?? [];
        if (message === undefined) return;
        text = text.slice(message.length);
        void onChanged({ id, names: names.split('\n').slice(0, -1), socket });
      }
    });
    socket.write(`VMSECRETD_REFRESH=1 ${boot}\n`);
    return socket;
  }

  /** As the guest parts do it. @param used is given what arrived, and may change what is acknowledged */
  acknowledge(used: (values: Map<string, Buffer>) => void = () => {}) {
    return async ({ id, names, socket }: Change): Promise<void> => {
      const values = new Map<string, Buffer>();
      for (const name of names) values.set(name, Buffer.from(await this.get(name)));
      used(values);
      const nonce = Buffer.from(await this.get(NONCE, '-'));
      const lines = [...values].map(
        ([name, value], index) =>
          `CREDENTIAL_${index + 1}=${computeReceiptDigest(nonce, value)} ${value.length} ${name}`,
      );
      const receipt = ['VMSECRETD_RECEIPT=1', ...lines, `VMSECRETD_RECEIPT_END=${lines.length}`];
      socket.write([`VMSECRETD_REFRESHED=1 ${id}`, ...receipt, ''].join('\n'));
    };
  }
}

export interface Change {
  id: string;
  names: string[];
  socket: Socket;
}

export function readAnswer(text: string, id: string): Buffer | string {
  const error = new RegExp(`^VMSECRETD_ERROR=1 ${id} ([a-z]+)\n$`).exec(text)?.[1];
  if (error !== undefined) return error;
  const [, size, base64 = ''] =
    new RegExp(`^VMSECRETD_VALUE=1 ${id} (\\d+)\n([\\s\\S]*)VMSECRETD_END=${id}\n$`).exec(text) ?? [];
  if (size === undefined) throw new Error('no answer in the form of docs/on-demand.md');
  const value = Buffer.from(base64, 'base64');
  if (value.length !== Number(size)) throw new Error('the size is not that of the value');
  return value;
}

export async function readAll(socket: Socket): Promise<string> {
  const chunks: Buffer[] = [];
  socket.on('data', (chunk: Buffer) => chunks.push(chunk));
  if (!socket.closed) await new Promise(resolve => socket.once('close', resolve));
  return Buffer.concat(chunks).toString('latin1');
}
