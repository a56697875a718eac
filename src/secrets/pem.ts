// Takes the bytes out of a PEM block, without making a string of a private key.

const BASE64 = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/');

/** The block's content in a buffer of its own; null where there is no such block or it is no base64. */
export function decodePem(content: Buffer, label: string): Buffer | null {
  const begin = `-----BEGIN ${label}-----`;
  const start = content.indexOf(begin);
  const end = content.indexOf(`-----END ${label}-----`);
  if (start < 0 || end < start) return null;
  return decodeBase64(content.subarray(start + begin.length, end));
}

function decodeBase64(text: Buffer): Buffer | null {
  const bytes = Buffer.allocUnsafeSlow(Math.floor((text.length * 3) / 4));
  let pending = 0;
  let pendingBits = 0;
  let length = 0;
  for (const character of text) {
    if (character <= 0x20 || character === 0x3d) continue;
    const value = BASE64.indexOf(character);
    if (value < 0) return null;
    pending = ((pending << 6) | value) & 0xffff;
    pendingBits += 6;
    if (pendingBits < 8) continue;
    pendingBits -= 8;
    bytes[length++] = (pending >>> pendingBits) & 0xff;
  }
  return bytes.subarray(0, length);
}
