// RSA keys between SSH's numbers and node:crypto: a private key from n, e, d, p, q, and SSH's form of a public one.

import { createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { sshString } from './ssh-wire.js';

export interface RsaNumbers {
  modulus: Buffer;
  publicExponent: Buffer;
  privateExponent: Buffer;
  coefficient: Buffer;
  prime1: Buffer;
  prime2: Buffer;
}

/** Throws what node:crypto throws for numbers that are no key. */
export function importRsa(numbers: RsaNumbers): KeyObject {
  const { modulus, publicExponent, privateExponent, prime1, prime2, coefficient } = numbers;
  // PKCS #1 wants two numbers that SSH leaves out, so these pass through BigInt, which nobody can wipe.
  const exponent1 = reduceExponent(privateExponent, prime1);
  const exponent2 = reduceExponent(privateExponent, prime2);
  const version = Buffer.alloc(1);
  const fields = [version, modulus, publicExponent, privateExponent, prime1, prime2, exponent1, exponent2];
  const der = derElement(0x30, Buffer.concat([...fields, coefficient].map(derInteger)));
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs1' });
  } finally {
    der.fill(0);
    exponent1.fill(0);
    exponent2.fill(0);
  }
}

/** The public half as SSH writes it, from any RSA key. */
export function sshRsaPublicKey(privateKey: KeyObject): Buffer {
  const { n = '', e = '' } = createPublicKey(privateKey).export({ format: 'jwk' });
  const numbers = [e, n].map(text => sshString(positive(Buffer.from(text, 'base64url'))));
  return Buffer.concat([sshString(Buffer.from('ssh-rsa')), ...numbers]);
}

function reduceExponent(exponent: Buffer, prime: Buffer): Buffer {
  const hex = (toBigInt(exponent) % (toBigInt(prime) - 1n)).toString(16);
  return positive(Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex'));
}

function toBigInt(bytes: Buffer): bigint {
  return BigInt(`0x${bytes.toString('hex')}`);
}

/** Two's complement: a leading zero where the top bit is set. */
function positive(bytes: Buffer): Buffer {
  return (bytes[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.alloc(1), bytes]) : bytes;
}

/** SSH's multiple precision integers are DER's already. */
function derInteger(bytes: Buffer): Buffer {
  return derElement(0x02, bytes);
}

function derElement(tag: number, content: Buffer): Buffer {
  const length = content.length;
  const header = length < 0x80 ? [tag, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(header), content]);
}
