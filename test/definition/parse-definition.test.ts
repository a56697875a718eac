// What a definition may say of sources and paths, by PUT and in a file: the rules are the same, and no message quotes a path.
import t from 'tap';
import { parseDefinition } from '../../src/definition/parse-definition.js';
import { type ErrorCode, VmsecretdError } from '../../src/errors.js';

const COMMAND = { command: ['--kernel', '/k'], supervisor: 'daemon' };
const BY_PUT = { name: 'web', origin: 'api', path: '/state/web.json', directory: undefined } as const;
const IN_FILE = { name: 'web', origin: 'file', path: '/etc/web.json', directory: '/etc' } as const;

function refusal(more: object, context: typeof BY_PUT | typeof IN_FILE): VmsecretdError | undefined {
  try {
    parseDefinition({ ...COMMAND, ...more }, { ...context, defaultSupervisor: 'daemon' });
    return undefined;
  } catch (error) {
    if (!(error instanceof VmsecretdError)) throw error;
    return error;
  }
}

const NAMES = (count: number) => Array.from({ length: count }, (_, at) => `N${at}`);
const credentials = (...names: string[]) => ({
  credentials: Object.fromEntries(names.map(name => [name, { text: 'x' }])),
});
const CANNOT_START: [title: string, definition: object, code: ErrorCode][] = [
  ...['A=B', 'a/b', 'a:b', '.', '..', '', 'ä', 'a\n', 'x'.repeat(256)].map(
    (name): [string, object, ErrorCode] => [
      `the name ${JSON.stringify(name.slice(0, 9))}`,
      credentials(name),
      'credential_name_invalid',
    ],
  ),
  ['256 credentials', credentials(...NAMES(256)), 'credentials_too_many'],
  ['256 static strings', { oemStrings: NAMES(256) }, 'credentials_too_many'],
  [
    '255 credentials and a string',
    { ...credentials(...NAMES(255)), oemStrings: ['a'] },
    'credentials_too_many',
  ],
  [
    '255 credentials and the nonce of a receipt',
    { ...credentials(...NAMES(255)), ready: 'receipt' },
    'credentials_too_many',
  ],
  [
    'a credential that is a static string too',
    { ...credentials('KEY'), oemStrings: ['io.systemd.credential:KEY=x'] },
    'credential_duplicate',
  ],
  [
    'the same in the VM config',
    {
      ...credentials('KEY'),
      command: undefined,
      vmConfig: { platform: { oem_strings: ['io.systemd.credential.binary:KEY=eA=='] } },
    },
    'credential_duplicate',
  ],
  [
    'two static strings of one name',
    { oemStrings: ['io.systemd.credential:KEY=x', 'io.systemd.credential:KEY=y'] },
    'credential_duplicate',
  ],
  ['the name of the nonce', { ...credentials('vmsecretd.nonce'), ready: 'receipt' }, 'credential_duplicate'],
  ['an empty static string', { oemStrings: [''] }, 'definition_invalid'],
  ['a static string with a NUL', { oemStrings: ['a\0b'] }, 'definition_invalid'],
];
for (const [title, definition, code] of CANNOT_START) {
  t.test(`what can never start is refused: ${title}`, async t => {
    for (const context of [BY_PUT, IN_FILE])
      t.match(refusal(definition, context), { code, message: /^VM web/ });
  });
}

t.test('255 strings are none too many, and any printable name is one', async t => {
  t.equal(refusal({ ...credentials(...NAMES(200)), oemStrings: NAMES(55) }, BY_PUT), undefined);
  t.equal(refusal(credentials('a b', '~', 'x'.repeat(255), '"', 'vmsecretd.nonce'), IN_FILE), undefined);
});

const SOURCES: [source: unknown, says: RegExp][] = [
  ['/run/secrets/x', /must have exactly one of age, .*file, text.* and is a string/],
  ['the-secret-itself', /exactly one of age/],
  [null, /exactly one of age, .*and is null/],
  [5, /exactly one of age, .*and is a number/],
  [['/run/secrets/x'], /exactly one of age, .*and is a list/],
  [{ path: '/run/secrets/x' }, /unknown key "path".*exactly one of age, .*file, text/],
  [{ value: 'the-secret-itself' }, /unknown key "value".*exactly one of age, .*file, text/],
  [{ fiel: '/run/secrets/x' }, /unknown key "fiel"\. Did you mean "file"\?/],
  [{ file: '/x', mode: '0400' }, /unknown key "mode".*exactly one of age/],
  // Everything that is wrong, in one answer.
  [
    { age: '/a', fiel: '/b', file: '/c' },
    /unknown key "fiel"\. Did you mean "file"\? It must have exactly one of .*, not age and file/,
  ],
  [{ fiel: '/b', mode: '0400' }, /unknown key "fiel".*unknown key "mode"/],
  [{}, /exactly one of age, .*, not none/],
  [{ trim: 'newline' }, /exactly one of age, .*, not none/],
  [{ age: '/a', text: 'b' }, /exactly one of age, .*, not age and text/],
];
for (const [source, says] of SOURCES) {
  t.test(`a credential that is ${JSON.stringify(source)} is told what it takes`, async t => {
    for (const context of [BY_PUT, IN_FILE]) {
      const error = refusal({ credentials: { 'A.B': source, GOOD: { text: 'x' } } }, context);
      t.equal(error?.code, 'definition_invalid');
      t.match(error?.message, says);
      t.match(error?.message, 'credentials.A.B');
      t.match(error?.details.fields, ['credentials.A.B']);
      t.notMatch(error?.message, 'the-secret-itself');
      t.notMatch(error?.message, /must be object|must match/);
    }
  });
}

const KEY = 'AGE-SECRET-KEY-1QQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQQ';
const SSH_KEY =
  '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUA\n-----END OPENSSH PRIVATE KEY-----';
const PASTED = [KEY, KEY.toLowerCase(), `/${KEY}`, SSH_KEY, SSH_KEY.split('\n')[1] ?? '', `# mine\n${KEY}`];
const inEach = (path: string) => [
  { identities: ['/etc/key', path] },
  { workingDirectory: path },
  { credentials: { A: { age: path } } },
  { credentials: { A: { file: path } } },
];

t.test('a key that is written where its file belongs is refused unseen', async t => {
  for (const pasted of PASTED)
    for (const context of [BY_PUT, IN_FILE])
      for (const definition of inEach(pasted)) {
        const error = refusal(definition, context);
        t.equal(error?.code, 'definition_invalid');
        t.match(error?.message, /must be the path of a file, not a key/);
        for (const line of pasted.split('\n'))
          t.notMatch(JSON.stringify([error?.message, error?.details]), line);
      }
});

t.test('what is not expanded is refused, in a file too', async t => {
  for (const path of [
    '~/key',
    '~root/key',
    '$HOME/key',
    '$CREDENTIALS_DIRECTORY/key',
    'file:///etc/key',
    'https://x/key',
  ])
    for (const context of [BY_PUT, IN_FILE])
      for (const definition of inEach(path))
        t.match(refusal(definition, context)?.message, /must be an absolute path/);
});

t.test('a relative path has a folder in a file alone, and is not quoted', async t => {
  for (const definition of inEach('hunter2/x')) {
    t.equal(refusal(definition, IN_FILE), undefined);
    const error = refusal(definition, BY_PUT);
    t.match(error?.message, /must be an absolute path/);
    t.notMatch(error?.message, 'hunter2');
  }
});
