// What a scenario asks of a guest and gets back.

import type { CpioEntry } from './cpio.js';

/** One credential's source on the host. */
export interface GuestSecret {
  /** What the file holds before encryption and trimming; null: there is no such file. */
  readonly bytes: Buffer | null;
  readonly source: 'age' | 'file';
  readonly trim?: 'newline';
}

export interface GuestRequest {
  /** The VM's name. Booting a name again means that VM with changed secrets, rotated and restarted. */
  readonly vm: string;
  /** By credential name. The daemon delivers them, and a nonce of its own. */
  readonly secrets: ReadonlyMap<string, GuestSecret>;
  /** Static strings that stand on the VM's own command line. */
  readonly oemStrings?: readonly string[];
  /** Files of the scenario, appended to the initramfs after those that every test guest has. */
  readonly files: readonly CpioEntry[];
  /** Which of the guest's reports is waited for; its receipt unless said otherwise. */
  readonly ready?: 'notify';
  /** With kubectl in it and a network card that reaches the host's loopback as 10.0.2.2. */
  readonly withKubernetes?: boolean;
}

export interface GuestOutcome {
  /** The serial console up to the line `VMSECRETD-TEST done` or further. */
  readonly console: string;
  /** As the VM shows it: `verified`, or null where it did not wait for one. */
  readonly receipt: string | null;
}

/**
 * Boots a guest and waits for its last line. The guest never powers off by itself: it is ended when another one boots, or the
 * test is over. Rejects with the daemon's VmsecretdError when it refuses the start, or the guest's receipt is not as it must be.
 */
export type BootGuest = (request: GuestRequest) => Promise<GuestOutcome>;

/** What the guest must read of a secret that is there. */
export function deliveredBytes({ bytes, trim }: GuestSecret): Buffer {
  if (bytes === null) throw new Error('A secret without a file delivers nothing');
  if (trim === undefined) return bytes;
  const end = bytes.length - (/\r?\n$/.exec(bytes.toString('latin1'))?.[0].length ?? 0);
  return bytes.subarray(0, end);
}
