// The payload of an age file: a nonce, then chunks of 64 KiB, each sealed by itself, the last one marked as such.
// By node:crypto rather than the age-encryption package, whose portable cipher takes longer for 1 MiB than all of
// `age -d` and leaves copies of the plaintext that nobody can wipe.

import { AgeFileError } from './age-identity.js';
import { deriveKey, openSealed, TAG_BYTES } from './file-key.js';

const NONCE_BYTES = 16;
const SEALED_CHUNK_BYTES = 64 * 1024 + TAG_BYTES;

/** The plaintext, in a buffer of its own; the caller wipes it and the file key. Throws AgeFileError. */
export function openPayload(fileKey: Buffer, payload: Buffer): Buffer {
  if (payload.length < NONCE_BYTES + TAG_BYTES) throw truncated();
  const key = deriveKey(fileKey, payload.subarray(0, NONCE_BYTES), 'payload');
  const sealed = payload.subarray(NONCE_BYTES);
  const chunkCount = Math.ceil(sealed.length / SEALED_CHUNK_BYTES);
  const plaintext = Buffer.allocUnsafeSlow(sealed.length - chunkCount * TAG_BYTES);
  try {
    let writtenBytes = 0;
    for (let index = 0; index < chunkCount; index++) {
      const chunk = sealed.subarray(index * SEALED_CHUNK_BYTES, (index + 1) * SEALED_CHUNK_BYTES);
      writtenBytes += openChunk(
        key,
        index,
        index === chunkCount - 1,
        chunk,
        plaintext.subarray(writtenBytes),
      );
    }
    return plaintext;
  } catch (error) {
    plaintext.fill(0);
    throw error;
  } finally {
    key.fill(0);
  }
}

function openChunk(key: Buffer, index: number, isLast: boolean, chunk: Buffer, target: Buffer): number {
  if (chunk.length < TAG_BYTES) throw truncated();
  const opened = openSealedChunk(key, index, isLast, chunk);
  if (opened === null) throw explainFailure(key, index, isLast, chunk);
  try {
    // The format allows an empty last chunk only where it is the only one.
    if (opened.length === 0 && index > 0) throw truncated();
    return opened.copy(target);
  } finally {
    opened.fill(0);
  }
}

function explainFailure(key: Buffer, index: number, isLast: boolean, chunk: Buffer): AgeFileError {
  if (!isLast) return new AgeFileError('payload', `its payload is damaged in chunk ${index + 1}`);
  const asInner = openSealedChunk(key, index, false, chunk);
  if (asInner === null) return new AgeFileError('payload', 'its payload is damaged or cut short');
  asInner.fill(0);
  return truncated();
}

function openSealedChunk(key: Buffer, index: number, isLast: boolean, chunk: Buffer): Buffer | null {
  // 11 bytes of counter and one that marks the last chunk; a counter of 32 bits is enough for 256 TiB.
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce[11] = isLast ? 1 : 0;
  return openSealed(key, nonce, chunk);
}

function truncated(): AgeFileError {
  return new AgeFileError('truncated', 'it is truncated: its payload ends early');
}
