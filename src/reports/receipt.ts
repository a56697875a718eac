// Reads what a guest reports of its credentials (docs/receipt.md) and compares it with what was delivered. The guest is not
// trusted: whatever is not exactly a receipt within the limits is refused, and no value is ever part of it.

export interface ReceiptEntry {
  readonly name: string;
  /** SHA-256 of the nonce followed by the value, in lower-case hexadecimal. */
  readonly digest: string;
  readonly sizeBytes: number;
}

export type Receipt = readonly ReceiptEntry[];

export interface ReceiptLimits {
  readonly maxBytes: number;
  readonly maxEntries: number;
}

export type ReceiptVerdict =
  | { readonly status: 'verified' }
  | { readonly status: 'failed'; readonly missing: readonly string[]; readonly different: readonly string[] };

export interface ExpectedCredential {
  readonly name: string;
  readonly digest: string;
}

/** A guest's report that is no receipt; the message says which line and why, and quotes nothing of it. */
export class ReceiptInvalidError extends Error {
  override readonly name = 'ReceiptInvalidError';
}

/**
 * SMBIOS has at most 255 OEM strings, and systemd can have a few more credentials from elsewhere (the kernel's command line,
 * QEMU's fw_cfg). A line is at most 11 + 6 + 1 + 64 + 1 + 10 + 1 + 255 bytes and its end.
 */
export const RECEIPT_LIMITS: ReceiptLimits = { maxBytes: 512 * 350, maxEntries: 512 };

const FIRST_LINE = 'VMSECRETD_RECEIPT=1';
const ENTRY = /^CREDENTIAL_([1-9]\d{0,5})=([0-9a-f]{64}) (0|[1-9]\d{0,9}) ([\x20-\x7e]{1,255})$/;
const LAST_LINE = /^VMSECRETD_RECEIPT_END=(0|[1-9]\d{0,5})$/;

/** Whether all of a receipt has arrived: its last line is there, with its line ending. */
export function isReceiptComplete(bytes: Uint8Array): boolean {
  const tail = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).subarray(-64).toString('latin1');
  return /\nVMSECRETD_RECEIPT_END=\d+\n$/.test(tail);
}

/** Whether this is the beginning of a receipt whose end did not come: the guest will send it again, so it says nothing. */
export function isReceiptCut(bytes: Uint8Array): boolean {
  const text = Buffer.from(bytes).toString('latin1');
  const begins = text.startsWith(`${FIRST_LINE}\n`) || FIRST_LINE.startsWith(text);
  return begins && !/\nVMSECRETD_RECEIPT_END=\d+\n?$/.test(text);
}

/** Throws {@link ReceiptInvalidError}. The last line's end may be missing: systemd-notify sends none. */
export function parseReceipt(bytes: Uint8Array, limits: ReceiptLimits = RECEIPT_LIMITS): Receipt {
  if (bytes.length > limits.maxBytes) {
    throw new ReceiptInvalidError(`The receipt is larger than ${limits.maxBytes} bytes.`);
  }
  const lines = Buffer.from(bytes).toString('latin1').replace(/\n$/, '').split('\n');
  if (lines.length - 2 > limits.maxEntries) {
    throw new ReceiptInvalidError(`The receipt has more than ${limits.maxEntries} credentials.`);
  }
  if (lines[0] !== FIRST_LINE)
    throw new ReceiptInvalidError(`The receipt does not begin with "${FIRST_LINE}".`);
  const entries = lines.slice(1, -1).map((line, index) => parseEntry(line, index + 1));
  const count = LAST_LINE.exec(lines.at(-1) ?? '')?.[1];
  if (Number(count) !== entries.length) {
    throw new ReceiptInvalidError(
      `The receipt does not end with the number of its credentials, ${entries.length}.`,
    );
  }
  if (new Set(entries.map(({ name }) => name)).size < entries.length) {
    throw new ReceiptInvalidError('The receipt names a credential twice.');
  }
  return entries;
}

function parseEntry(line: string, number: number): ReceiptEntry {
  const [, position, digest = '', size, name = ''] = ENTRY.exec(line) ?? [];
  if (Number(position) !== number) {
    throw new ReceiptInvalidError(`Line ${number + 1} of the receipt is not that of credential ${number}.`);
  }
  return { name, digest, sizeBytes: Number(size) };
}

/** Every expected credential must be there with the same digest; what else the guest has does not matter. */
export function verifyReceipt(receipt: Receipt, expected: readonly ExpectedCredential[]): ReceiptVerdict {
  const digests = new Map(receipt.map(({ name, digest }) => [name, digest]));
  const missing = expected.filter(({ name }) => !digests.has(name)).map(({ name }) => name);
  const different = expected
    .filter(({ name, digest }) => digests.has(name) && digests.get(name) !== digest)
    .map(({ name }) => name);
  return missing.length + different.length === 0
    ? { status: 'verified' }
    : { status: 'failed', missing, different };
}
