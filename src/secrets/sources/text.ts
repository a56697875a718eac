import type { SourceReader } from './reader.js';

export const readText: SourceReader = async ({ source: { text = '' } }) => ({
  stored: Buffer.from(text),
  isCiphertext: false,
});
