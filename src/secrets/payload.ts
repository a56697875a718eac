// The payload of an age file: a nonce, then chunks of 64 KiB, each sealed by itself, the last one marked as such.
// By node:crypto rather than the age-encryption package, whose portable cipher takes longer for 1 MiB than all of
// `age -d` and leaves copies of the plaintext that nobody can wipe.

import { AgeFileError } from './age-identity.js';
import { deriveKey, openSealed, TAG_BYTES } from './file-key.js';

const NONCE_BYTES = 16;
const SEALED_CHUNK_BYTES = 64 * 1024 + TAG_BYTES;

interface Chunk {
  index: number;
  isLast: boolean;
  bytes: Buffer;
}

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
      const bytes = sealed.subarray(index * SEALED_CHUNK_BYTES, (index + 1) * SEALED_CHUNK_BYTES);
      const chunk = { index, isLast: index === chunkCount - 1, bytes };
      writtenBytes += openChunk(key, chunk, plaintext.subarray(writtenBytes));
    }
    return plaintext;
  } catch (error) {
    plaintext.fill(0);
    throw error;
  } finally {
    key.fill(0);
  }
}

function openChunk(key: Buffer, chunk: Chunk, target: Buffer): number {
  if (chunk.bytes.length < TAG_BYTES) throw truncated();
  const opened = openSealedChunk(key, chunk);
  if (opened === null) throw explainFailure(key, chunk);
  try {
    // The format allows an empty last chunk only where it is the only one.
    if (opened.length === 0 && chunk.index > 0) throw truncated();
    return opened.copy(target);
  } finally {
    opened.fill(0);
  }
}

function explainFailure(key: Buffer, chunk: Chunk): AgeFileError {
  if (!chunk.isLast) return new AgeFileError('payload', `its payload is damaged in chunk ${chunk.index + 1}`);
  const asInner = openSealedChunk(key, { ...chunk, isLast: false });
  if (asInner === null) return new AgeFileError('payload', 'its payload is damaged or cut short');
  asInner.fill(0);
  return truncated();
}

function openSealedChunk(key: Buffer, { index, isLast, bytes }: Chunk): Buffer | null {
  // 11 bytes of counter and one that marks the last chunk; a counter of 32 bits is enough for 256 TiB.
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce[11] = isLast ? 1 : 0;
  return openSealed(key, nonce, bytes);
}

function truncated(): AgeFileError {
  return new AgeFileError('truncated', 'it is truncated: its payload ends early');
}
