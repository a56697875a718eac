import type { SourceReader } from './reader.js';

export const readFileSource: SourceReader = async ({ source: { file = '' } }, tools) => ({
  stored: await tools.readFile(file),
  isCiphertext: false,
});
