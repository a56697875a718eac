import { fileKind } from './source-kind.js';

export const age = fileKind('age', 'Path of an age file, armored or binary', {
  example: { age: '/etc/secrets/NAME.age' },
});
