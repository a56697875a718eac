import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';

/** An SMBIOS table: a structure of another type, OEM strings, the end. */
function buildTable(strings: readonly (string | Buffer)[]): Buffer {
  const nul = Buffer.from([0]);
  const texts = strings.flatMap(string => [Buffer.from(string as Buffer), nul]);
  const other = Buffer.concat([Buffer.from([1, 4, 0, 1]), Buffer.from('io.systemd.credential:A'), nul, nul]);
  return Buffer.concat([
    other,
    Buffer.from([11, 5, 10, 2, strings.length]),
    ...texts,
    nul,
    Buffer.from([127, 4, 0, 3, 0, 0]),
  ]);
}

function placeKeys(
  t: Test,
  strings: readonly (string | Buffer)[],
  configuration: (folder: string) => string,
) {
  const folder = t.testdir({});
  writeFileSync(join(folder, 'DMI'), buildTable(strings));
  writeFileSync(join(folder, 'keys'), configuration(folder));
  const { status, stderr } = spawnSync('sh', [resolve('guest/vmsecretd-key'), join(folder, 'keys')], {
    env: { PATH: process.env.PATH, VMSECRETD_DMI_TABLE: join(folder, 'DMI') },
    encoding: 'utf8',
  });
  return { folder, status, stderr };
}

const binary = (name: string, value: Buffer | string) =>
  `io.systemd.credential.binary:${name}=${Buffer.from(value as Buffer).toString('base64')}`;

t.test('puts keys from SMBIOS at their paths, byte for byte', async t => {
  const key = Buffer.from([0, 10, 13, 255, 0, 10]);
  const large = Buffer.alloc(30_000, 'k\n');
  const { folder, status, stderr } = placeKeys(
    t,
    [
      binary('FIRST', key),
      'a string',
      'io.systemd.credential:TEXT=one=\ntwo\n',
      binary('A.B*', large),
      binary('AxB*', 'other'),
    ],
    folder => `# keys\nFIRST:${folder}/run/deep/first\nTEXT:${folder}/text:0440\n\nA.B*:${folder}/large`,
  );
  t.strictSame({ status, stderr }, { status: 0, stderr: '' });
  t.strictSame(readFileSync(join(folder, 'run/deep/first')), key);
  t.equal(readFileSync(join(folder, 'text'), 'utf8'), 'one=\ntwo\n');
  t.strictSame(readFileSync(join(folder, 'large')), large);
  t.strictSame(
    ['run/deep/first', 'text'].map(name => statSync(join(folder, name)).mode & 0o7777),
    [0o400, 0o440],
  );
});

t.test('of two strings of one name the first counts, as in systemd', async t => {
  const { folder } = placeKeys(
    t,
    ['io.systemd.credential:K=1', binary('K', '2')],
    folder => `K:${folder}/key\n`,
  );
  t.equal(readFileSync(join(folder, 'key'), 'utf8'), '1');
});

t.test('names a credential that is not there, and writes the others', async t => {
  const { folder, status, stderr } = placeKeys(
    t,
    [binary('HERE', 'x'), 'vendor io.systemd.credential:GONE=x'],
    folder => `GONE:${folder}/gone\nHERE:${folder}/here\nHERE:relative\n`,
  );
  t.equal(status, 1);
  t.match(stderr, /no credential GONE in SMBIOS.*\n.*"relative" is not an absolute path/);
  t.notOk(existsSync(join(folder, 'gone')));
  t.equal(readFileSync(join(folder, 'here'), 'utf8'), 'x');
});
