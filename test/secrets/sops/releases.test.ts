// Every kind of file of every release of sops whose files are in test/fixtures/sops.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { filesOf, openSops, SOPS_RELEASES, sopsFixture, sopsKey, sopsRefusal } from '../../setup/sops.js';

const bytes = (text: string) => Buffer.from(text).toString('latin1');
const CERTIFICATE = '-----BEGIN-----\nline\n-----END-----\n';

/** Key → value, by the file's name. */
const VALUES: Record<string, Record<string, string>> = {
  'values.yaml': {
    'my-app/api-key': 'hunter2',
    '["my-app"]["api-key"]': 'hunter2',
    "['my-app']['hosts'][1]['name']": 'two',
    'my-app/port': '8080',
    'my-app/ratio': '1.5',
    'my-app/debug': 'true',
    'my-app/empty': '',
    'my-app/certificate': CERTIFICATE,
    'my-app/hosts/0': 'one',
    'my-app/hosts/1/name': 'two',
    'my-app/hosts/1/ports/1': '80',
    'copy/user': 'admin',
    '["a/b"]': 'with a slash',
    '10': 'a number',
    'dotted.name': 'dots',
    ümläut: bytes('größe 😀'),
    plain_unencrypted: '16',
    'sizes_unencrypted/big': `1${'0'.repeat(30)}`,
    'sizes_unencrypted/small': '0.0000001',
    'sizes_unencrypted/half': '0.5',
    'sizes_unencrypted/no': 'false',
    'sizes_unencrypted/text': 'ENC',
  },
  'values.json': {
    'z/list/0': '1',
    'z/list/1': '2.5',
    'z/list/2': `1${'0'.repeat(21)}`,
    'z/list/3': '-7',
    'z/list/4': 'true',
    'z/list/6': 'sA\n',
    'z/1': 'first',
    a: bytes('größe 😀'),
    '10': 'ten',
    '2': 'two',
    empty: '',
    'p_unencrypted/i': '7',
    'p_unencrypted/f': '2.5',
    'p_unencrypted/e': '0.0000001',
    'p_unencrypted/b': 'false',
  },
  'values.env': {
    API_KEY: 'hunter2',
    EQUALS: 'a=b=',
    LINES: 'one\ntwo',
    EMPTY: '',
    PLAIN_unencrypted: 'plain',
  },
  'values.ini': {
    'DEFAULT/top': 'level',
    'web/api-key': 'hunter2',
    'web/spaces': '  two  ',
    'web/plain_unencrypted': 'plain',
    'web/lines_unencrypted': 'a\nb',
    'db/password': 'x',
  },
  'converted.yaml': { password: 'hunter2' },
  'two-recipients.yaml': { password: 'hunter2' },
  'ssh-ed25519.yaml': { password: 'hunter2' },
  'ssh-rsa.yaml': { password: 'hunter2' },
  'pq.yaml': { password: 'hunter2' },
  'key-groups.yaml': { password: 'hunter2' },
  'encrypted-suffix.yaml': { secret_enc: 'hunter2', plain: 'admin' },
  'unencrypted-suffix.yaml': { password: 'hunter2', user: 'admin', 'nested/host': 'example' },
  'encrypted-regex.yaml': { 'nested/password': 'hunter3', user: 'admin' },
  'unencrypted-regex.yaml': { password: 'hunter2', user: 'admin', 'nested/host': 'example' },
  'mac-only-encrypted.yaml': { password: 'hunter2', user: 'admin', 'nested/password': 'hunter3' },
  'encrypted-comment-regex.yaml': {
    password: 'hunter2',
    user: 'admin',
    'nested/deep': 'hunter3',
    last: 'plain',
  },
  'unencrypted-comment-regex.yaml': { password: 'hunter2', user: 'admin', last: 'hunter4' },
};

for (const release of SOPS_RELEASES) {
  for (const file of filesOf(release).filter(name => name in VALUES)) {
    t.test(`sops ${release}, ${file}: every value is what was encrypted`, async t => {
      for (const [key, value] of Object.entries(VALUES[file] ?? {}))
        t.equal(await openSops(sopsFixture(release, file), key), value, key);
    });
  }

  t.test(`sops ${release}: a binary file is one value`, async t => {
    const path = sopsFixture(release, 'binary');
    const plain = readFileSync(sopsFixture('plain', 'binary')).toString('latin1');
    t.equal(await openSops(path), release === 'v3.7.3' ? plain : plain);
    t.equal(await openSops(path, 'data'), await openSops(path));
  });

  t.test(`sops ${release}: fewer key groups than it needs open nothing`, async t => {
    const error = await sopsRefusal(sopsFixture(release, 'too-many-key-groups.yaml'), 'secret_enc');
    t.match(error, { code: 'secret_no_identity', message: /2 of 3 key groups open, and it needs 3/ });
    const one = await sopsRefusal(sopsFixture(release, 'key-groups.yaml'), 'password', [sopsKey('age')]);
    t.match(one, { code: 'secret_no_identity', message: /1 of 3 key groups open, and it needs 2/ });
  });
}

t.test('every file that a release made is tested', async t => {
  const others = SOPS_RELEASES.flatMap(filesOf).filter(file => !(file in VALUES));
  t.strictSame([...new Set(others)].toSorted(), ['binary', 'too-many-key-groups.yaml']);
});
