// What is not as sops wrote it opens nothing, and no error says anything of a value.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { openSops, sopsFixture, sopsKey, sopsRefusal } from '../../setup/sops.js';

const folder = t.testdir({});
const fixture = (file: string, release = 'v3.11.0') => readFileSync(sopsFixture(release, file), 'utf8');
function write(content: string | Buffer): string {
  const path = join(folder, 'secrets');
  writeFileSync(path, content);
  return path;
}

const yaml = fixture('values.yaml');
const one = fixture('two-recipients.yaml');
const rules = fixture('encrypted-regex.yaml');
const macOnly = fixture('mac-only-encrypted.yaml');
const sealedAt = (text: string, key: string) => new RegExp(`${key}: (ENC\\[.*\\])`).exec(text)?.[1] ?? '';
const metadata = (text: string) => text.slice(text.indexOf('\nsops:'));
/** Another letter in the base64 of a field. */
const flip = (text: string, field: string) =>
  text.replace(new RegExp(`(${field}:)(.)`), (_, start, letter) => `${start}${letter === 'A' ? 'B' : 'A'}`);

interface Case {
  content: string | Buffer;
  key?: string;
  code?: string;
  says: RegExp;
}

const DAMAGED: Record<string, Case> = {
  'a changed value': { content: flip(one, 'data'), says: /its value password is damaged, or was moved/ },
  'a changed IV': { content: flip(one, 'iv'), says: /its value password is damaged/ },
  'a changed tag': { content: flip(one, 'tag'), says: /its value password is damaged/ },
  'a text of which the type is a number’s': {
    content: one.replace('type:str', 'type:int'),
    says: /its value password is damaged/,
  },
  'a text of which the type is a truth’s': {
    content: one.replace('type:str', 'type:bool'),
    says: /its value password is damaged/,
  },
  'an unknown type': { content: one.replace('type:str', 'type:hex'), says: /its value password is damaged/ },
  'a shorter tag': { content: one.replace(/tag:[^,]*,/, 'tag:AAAA,'), says: /its value password is damaged/ },
  'a value of another place': {
    content: yaml.replace(sealedAt(yaml, 'api-key'), sealedAt(yaml, 'user')),
    key: 'my-app/api-key',
    says: /my-app\/api-key is damaged, or was moved there from another place/,
  },
  'a value of the same name in another map': {
    content: rules.replace(/^password: ENC.*$/m, `password: ${/^ {4}password: (.*)$/m.exec(rules)?.[1]}`),
    key: 'password',
    says: /its value password is damaged, or was moved/,
  },
  'two values in another order': {
    content: rules.replace(/^(user: .*)$/m, 'nested2: x').replace('user: ', ''),
    key: 'password',
    says: /MAC does not fit/,
  },
  'a value that was not encrypted, changed': {
    content: rules.replace('user: admin', 'user: mallory'),
    key: 'password',
    says: /its MAC does not fit: it was changed without sops/,
  },
  'a value that was not encrypted, asked for': {
    content: rules.replace('user: admin', 'user: mallory'),
    key: 'user',
    says: /its MAC does not fit/,
  },
  'an added value': { content: `extra: x\n${rules}`, key: 'password', says: /MAC does not fit/ },
  'a removed value': {
    content: rules.replace(/^user: .*\n/m, ''),
    key: 'password',
    says: /MAC does not fit/,
  },
  'an encrypted value replaced by plain text': {
    content: one.replace(/password: ENC.*/, 'password: hunter9'),
    says: /its value password is to be encrypted, and is not/,
  },
  'a plain value for an encrypted one, its MAC over those alone': {
    content: macOnly.replace(/^password: ENC.*/m, 'password: hunter9'),
    key: 'password',
    says: /is to be encrypted, and is not/,
  },
  'an encrypted value removed, the MAC over those alone': {
    content: macOnly.replace(/^password: ENC.*\n/m, ''),
    key: 'nested/password',
    says: /MAC does not fit/,
  },
  'a MAC over all for one over encrypted values': {
    content: macOnly.replace('mac_only_encrypted: true', 'mac_only_encrypted: false'),
    key: 'password',
    says: /MAC does not fit/,
  },
  'a changed MAC': {
    content: one.replace(/mac: ENC.*/, sealed => flip(sealed, 'data')),
    says: /its MAC is missing or damaged/,
  },
  'the MAC of another file': {
    content: one.replace(/mac: .*/, /mac: .*/.exec(yaml)?.[0] ?? ''),
    says: /its MAC is missing or damaged/,
  },
  'no MAC': { content: one.replace(/\n +mac: .*/, ''), says: /its MAC is missing or damaged/ },
  'an empty MAC': { content: one.replace(/mac: .*/, 'mac: ""'), says: /its MAC is missing or damaged/ },
  'another time': {
    content: one.replace(/lastmodified: "20../, 'lastmodified: "19'),
    says: /MAC is missing or damaged/,
  },
  'metadata of another file': {
    content: one.slice(0, one.indexOf('\nsops:')) + metadata(yaml),
    says: /damaged/,
  },
  'a duplicate key': {
    content: one.replace('password:', 'password: a\npassword:'),
    says: /duplicate key on line 2/,
  },
  'a duplicate key in JSON': {
    content: fixture('values.json').replace('"2":', '"10":'),
    key: 'a',
    says: /duplicate key/,
  },
  'a duplicate key in dotenv': {
    content: `API_KEY=x\n${fixture('values.env')}`,
    key: 'API_KEY',
    says: /duplicate key/,
  },
  'a duplicate key in INI': {
    content: fixture('values.ini').replace('[web]', '[web]\napi-key = x'),
    key: 'web/api-key',
    says: /duplicate key/,
  },
  'no metadata': {
    content: one.slice(0, one.indexOf('\nsops:')),
    says: /it is no sops file, or what sops keeps at its end is missing/,
  },
  'YAML cut within a value': { content: one.slice(0, 60), says: /what sops keeps at its end is missing/ },
  'YAML cut in its metadata': { content: one.slice(0, one.indexOf('BEGIN AGE') + 60), says: /./ },
  'JSON that is cut': {
    content: fixture('values.json').slice(0, -40),
    key: 'a',
    says: /truncated or damaged: it is no valid JSON/,
  },
  'dotenv that is cut': { content: fixture('values.env').slice(0, -300), key: 'API_KEY', says: /./ },
  'INI that is cut': { content: fixture('values.ini').slice(0, -400), key: 'web/api-key', says: /./ },
  'a binary file that is cut': {
    content: readFileSync(sopsFixture('v3.11.0', 'binary')).subarray(0, 80),
    says: /no valid JSON/,
  },
  'an empty file': { content: '', says: /it is empty/ },
  'a data key that is no age file': {
    content: one.replace(/BEGIN AGE/g, 'BEGIN PGP'),
    says: /its data key: it is/,
    code: 'secret_corrupt',
  },
  'two rules': {
    content: one.replace(
      'unencrypted_suffix: _unencrypted',
      'unencrypted_suffix: _x\n    encrypted_suffix: _y',
    ),
    says: /in more than one way/,
  },
  'maps without an end': {
    content: `{"sops":${'{"a":'.repeat(200)}1${'}'.repeat(200)}}`,
    says: /in more than 100 levels/,
  },
  'lists without an end': {
    content: `sops:\n  a: ${'['.repeat(5_000)}`,
    says: /damaged|levels|within each other/,
  },
  'aliases that are a huge tree': {
    content: `a0: &a0 x\n${Array.from({ length: 30 }, (_, at) => `a${at + 1}: &a${at + 1} [*a${at}, *a${at}]`).join('\n')}\nsops: {}\n`,
    says: /more than 100000 values/,
  },
  'an alias of itself': { content: 'a: &a [*a]\nsops: {}\n', says: /levels|alias/ },
  'YAML with the text of an error': { content: 'a: "hunter2\nsops:\n', says: /line \d+ is no valid YAML/ },
};

for (const [title, { content, key = 'password', code = 'secret_corrupt', says }] of Object.entries(DAMAGED)) {
  t.test(`opens nothing of ${title}`, async t => {
    const path = write(content);
    const error = await sopsRefusal(path, title.startsWith('a binary') ? undefined : key);
    t.equal(error.code, code, error.message);
    t.match(error.message, says);
    t.match(error.message, /^VM web, credential A: \/.*\/secrets does not open: /);
    t.notMatch(error.message, /hunter|mallory|admin|ENC\[/);
  });
}

t.test('a key that leads to no value says where it ends', async t => {
  const path = sopsFixture('v3.11.0', 'values.yaml');
  const cases: [key: string | undefined, says: RegExp][] = [
    ['my-app/api-kay', /has no api-kay below my-app; correct "key"\. Did you mean "api-key"\?$/],
    ['nothing-like-it', /has no nothing-like-it; correct "key"\.$/],
    ['my-app', /has a map at my-app, which is no value/],
    ['my-app/hosts', /has a list at my-app\/hosts/],
    ['my-app/nothing', /has null at my-app\/nothing/],
    ['my-app/hosts/9', /has no 9 below my-app\/hosts/],
    ['my-app/hosts/-1', /has no -1 below/],
    ['my-app/api-key/deeper', /has no deeper below my-app\/api-key/],
    ['a/b', /has no a; correct "key"\. A name with a slash is written as \["a\/b"\]\.$/],
    ['second', /has no second/],
    ['sops', /has no sops/],
    ['sops/mac', /has no sops/],
    ['__proto__', /has no __proto__/],
    ['constructor', /has no constructor/],
    [undefined, /is no binary file of sops; say which of its values with "key"/],
  ];
  for (const [key, says] of cases) {
    const error = await sopsRefusal(path, key);
    t.equal(error.code, 'secret_missing', `${key}`);
    t.match(error.message, says);
  }
});

t.test('a file for other keys says for which, and what was tried', async t => {
  const error = await sopsRefusal(sopsFixture('v3.11.0', 'two-recipients.yaml'), 'password', [sopsKey('pq')]);
  t.equal(error.code, 'secret_no_identity');
  t.match(
    error.message,
    /its data key is encrypted to other keys\. Its recipients: age1\S+, age1\S+\. Tried: .*keys\/pq/,
  );
  t.match(error.message, /sops updatekeys/);
  const none = await sopsRefusal(sopsFixture('v3.11.0', 'two-recipients.yaml'), 'password', []);
  t.match(none, { code: 'secret_no_identity', message: /there is no identity to try/ });
});

t.test('key services other than age are named, and refused', async t => {
  const services: [yaml: string, name: string][] = [
    ['kms', 'AWS KMS'],
    ['gcp_kms', 'GCP KMS'],
    ['azure_kv', 'Azure Key Vault'],
    ['hc_vault', 'HashiCorp Vault'],
    ['pgp', 'PGP'],
    ['hckms', 'Huawei Cloud KMS'],
  ];
  for (const [key, name] of services) {
    const other = one.replace(
      /\n {4}age:[\s\S]*?\n {4}lastmodified/,
      `\n    ${key}:\n        - enc: x\n    lastmodified`,
    );
    const error = await sopsRefusal(write(other), 'password');
    t.match(error, { code: 'secret_no_identity' }, key);
    t.match(error.message, `its data key is encrypted with ${name}, which vmsecretd does not ask`);
    t.match(error.message, 'sops rotate -i --add-age RECIPIENT FILE');
    const beside = one.replace('\n    lastmodified', `\n    ${key}:\n        - enc: x\n    lastmodified`);
    t.equal(await openSops(write(beside), 'password'), 'hunter2', `${key} beside age is no matter`);
  }
});

t.test('a file of another kind, named as "sops", says what it is', async t => {
  const others: [content: string | Buffer, says: RegExp][] = [
    ['password: hunter2\n', /it is no sops file, .* name a plain file as "file"/],
    ['{"password": "hunter2"}', /it is no sops file, /],
    [Buffer.from([0xff, 0xfe, 0, 1]), /it is no sops file/],
    ['age-encryption.org/v1\n-> X25519 x\n', /it is no sops file: it is an age file\. Name it as "age"/],
    ['-----BEGIN AGE ENCRYPTED FILE-----\n', /it is an age file\. Name it as "age"/],
    ['-----BEGIN PGP MESSAGE-----\n', /encrypted with PGP/],
    ['$ANSIBLE_VAULT;1.1;AES256\n62\n', /ansible-vault/],
  ];
  for (const [content, says] of others) {
    const error = await sopsRefusal(write(content), 'password');
    t.equal(error.code, 'secret_corrupt');
    t.match(error.message, says);
    t.notMatch(error.message, 'hunter2');
  }
});

t.test('a pattern that backtracks for ever holds up nobody', async t => {
  const name = `${'a'.repeat(40)}b`;
  const slow = rules
    .replace(/encrypted_regex: .*/, 'encrypted_regex: ^(a+)+$')
    .replace('user: admin', `${name}: admin`);
  const startedAt = performance.now();
  t.equal(
    await openSops(write(slow), 'password'),
    'hunter2',
    'which values are encrypted shows by themselves',
  );
  t.ok(performance.now() - startedAt < 20_000);
});

t.test('a file of more than 1 MiB is refused unread', async t => {
  const error = await sopsRefusal(write(`${one}#${'x'.repeat(1024 * 1024)}`), 'password');
  t.match(error, { code: 'secret_too_large', message: /the limit is 1048576 bytes/ });
});
