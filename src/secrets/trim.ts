export type Trim = 'none' | 'newline';

/** `newline` leaves out exactly one trailing `\n` or `\r\n`; inner and further ones stay. The result shares memory. */
export function trimEnding(bytes: Buffer, trim: Trim): Buffer {
  if (trim === 'none' || bytes.at(-1) !== 0x0a) return bytes;
  return bytes.subarray(0, bytes.at(-2) === 0x0d ? -2 : -1);
}
