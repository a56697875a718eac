import { quoteWord } from '../../system/quote-word.js';
import type { SourceKindInfo } from './source-kind.js';

interface Keys {
  program?: string[];
  watch?: string[];
}

/** A name without a slash is looked for in PATH. */
const isPath = (word: string) => word.includes('/');

export const program: SourceKindInfo<Keys> = {
  keys: {
    program: {
      type: 'array',
      minItems: 1,
      items: { type: 'string', pattern: '^[^\\0]*$' },
      description:
        'A program and its arguments, run without a shell; the value is what it writes to standard output',
    },
    watch: {
      type: 'array',
      items: { type: 'string', minLength: 1 },
      description:
        'Files whose change may change the output of `program`, which is then run again to compare it',
    },
  },
  example: { program: ['pass', 'show', 'NAME'] },
  mapPaths: ({ program: [word = '', ...rest] = [], watch }, change) => ({
    program: [isPath(word) ? change(word, 'program') : word, ...rest],
    ...(watch && { watch: watch.map(path => change(path, 'watch')) }),
  }),
  describe: ({ program: words = [] }) => words.map(quoteWord).join(' '),
  watched: ({ watch = [] }) => watch,
  findProblem: ({ program: [word] = [] }) => (word === '' ? 'has an empty program name' : undefined),
  isFile: false,
};
