import type { SourceKindInfo } from './source-kind.js';

interface Keys {
  text?: string;
}

export const text: SourceKindInfo<Keys> = {
  keys: {
    text: {
      type: 'string',
      description: 'The value itself, for values that are no secrets: shown and stored as it is',
    },
  },
  example: { text: 'VALUE' },
  mapPaths: () => ({}),
  describe: () => undefined,
  watched: () => [],
  isFile: false,
};
