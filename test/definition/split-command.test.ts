import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import t from 'tap';
import { splitCommand } from '../../src/definition/split-command.js';
import { VmsecretdError } from '../../src/errors.js';
import { quoteCommand } from '../../src/system/quote-command.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 300);
const emptyFolder = t.testdir({});

const accepted: [rule: string, text: string, words: string[]][] = [
  ['splits at blanks and tabs', ' a \t b ', ['a', 'b']],
  ['gives no words for nothing', ' \n ', []],
  ['keeps an empty word in quotes', `a '' ""`, ['a', '', '']],
  ['joins quoted and plain parts to one word', `path='/a b'"/c d"e`, ['path=/a b/c de']],
  ['takes everything in single quotes as it is', `'$HOME \`x\` \\ "'`, ['$HOME `x` \\ "']],
  ['takes a new line inside quotes as it is', `'a\nb' "c\nd"`, ['a\nb', 'c\nd']],
  ['unescapes $ ` " and backslash in double quotes', '"\\$a \\`b\\` \\"c\\" \\\\"', ['$a `b` "c" \\']],
  ['keeps any other backslash in double quotes', '"\\a\\\'"', ["\\a\\'"]],
  ['takes the character after a backslash as it is', "\\$a\\ b\\'\\;\\*\\#", ["$a b';*#"]],
  ['joins lines that end with a backslash', 'a \\\n  b\\\nc "d\\\ne"', ['a', 'bc', 'de']],
  ['makes no word of joined lines alone', 'a \\\n \\\n b \\\n', ['a', 'b']],
  ['ignores new lines before and after the command', '\n a\n\n', ['a']],
  ['keeps brackets, which match no file', 'oem_strings=[a,b] fd=[3]', ['oem_strings=[a,b]', 'fd=[3]']],
  ['keeps # and ~ inside a word', 'a#b a~b', ['a#b', 'a~b']],
  ['keeps braces that do not expand', '{msg}: {level}', ['{msg}:', '{level}']],
];

for (const [rule, text, words] of accepted) {
  t.test(rule, async t => {
    t.same(splitCommand(text), words);
    t.same(splitBySh(text), words, 'and so does sh');
  });
}

const refused: [rule: string, text: string, place: RegExp][] = [
  ['refuses a variable', 'a $HOME/b', /"\$" after "a "/],
  ['refuses a variable in double quotes', '"$HOME"', /single quotes/],
  ['refuses a command substitution', 'a `pwd`', /expanded/],
  ['refuses the home directory', '--kernel ~/vmlinux', /"~"/],
  ['refuses the home directory after an equals sign, which bash expands', 'path=~/disk', /"~"/],
  ['refuses a second command', 'a; b', /";"/],
  ['refuses a second line', 'a\nb', /backslash/],
  ['refuses a pipe, a redirection, a subshell', 'a | b', /"\|"/],
  ['refuses a redirection', 'a 3<>b', /"<"/],
  ['refuses a glob', 'path=/vm/*.img', /"\*"/],
  ['refuses a comment', 'a #b', /comment/],
  ['refuses a brace expansion', 'path=/{a,b}', /"\{"/],
  ['refuses an open single quote', "a 'b", /never closed/],
  ['refuses an open double quote', 'a "b\\"', /never closed/],
  ['refuses a backslash at the end', 'a \\', /nothing after it/],
  ['refuses carriage returns', 'a \\\r\nb\r\n', /line feed|backslash/],
  ['refuses a NUL', 'a\0b', /NUL/],
];

for (const [rule, text, message] of refused) {
  t.test(rule, async t => {
    t.throws(() => splitCommand(text), { code: 'command_invalid', message });
  });
}

/** What the real sh makes of it where no file matches (`.[.]` matches the folder above); undefined if it refuses. */
function splitBySh(text: string): string[] | undefined {
  const script = `set -f; printf '%s\\0' --${text.trim() === '' ? '' : ` ${text.replace(/^[ \t\n]+/, '')}`}`;
  const { status, stdout } = spawnSync('sh', ['-c', script], { cwd: emptyFolder, encoding: 'utf8' });
  return status === 0 ? stdout.split('\0').slice(1, -1) : undefined;
}

t.test('agrees with sh on every string that it accepts', async t => {
  const piece = fc.constantFrom(
    ...`'"\\$\`;&|<>()*?[]{}~#!=,. \t\n-`,
    ...'ab1é:@/+%_ab1é:@/+%_ab1xyz',
    '\\\n',
    "'a b'",
    '"a b"',
    'path=',
    ' ',
    ' ',
  );
  const command = fc.array(piece, { maxLength: 14 }).map(pieces => pieces.join(''));
  let agreed = 0;
  fc.assert(
    fc.property(command, text => {
      let words: string[];
      try {
        words = splitCommand(text);
      } catch (error) {
        return error instanceof VmsecretdError;
      }
      if (words.length > 0) agreed++;
      return JSON.stringify(splitBySh(text)) === JSON.stringify(words);
    }),
    { numRuns: ROUNDS },
  );
  t.ok(agreed > ROUNDS / 20, `${agreed} of ${ROUNDS} strings were words to both`);
});

t.test('quoteCommand is the inverse, for splitCommand and for sh', async t => {
  const word = fc
    .string({
      unit: fc.oneof(fc.constantFrom(...` '"\\$\n~#*[{=-`), fc.string({ unit: 'binary', maxLength: 1 })),
    })
    .filter(text => !text.includes('\0'));
  fc.assert(
    fc.property(fc.array(word, { minLength: 1, maxLength: 5 }), argv => {
      const line = quoteCommand(argv);
      t.same(splitCommand(line), argv);
      t.same(splitBySh(line), argv);
    }),
    { numRuns: ROUNDS },
  );
  t.equal(quoteCommand(['--disk', 'path=/a b', '']), "--disk 'path=/a b' ''", 'quotes only what needs it');
});
