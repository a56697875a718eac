import { fileKind } from './source-kind.js';

export const file = fileKind('file', 'Path of a plain file, such as /run/secrets/…', {
  example: { file: '/run/secrets/NAME' },
});
