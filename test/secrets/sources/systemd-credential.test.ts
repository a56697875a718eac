import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t from 'tap';
import { createSystemdCredentialReader } from '../../../src/secrets/sources/systemd-credential.js';
import { openOne, refusalOf } from '../../setup/open-source.js';
import { whyNotOnPath } from '../../setup/programs.js';
import { socketFolder } from '../../setup/socket-folder.js';

const folder = t.testdir({});
const at = (name: string) => join(folder, name);
/** Without a key of this host: test/systemd has one. */
const seal = (name: string, value: string, file = name) => {
  const args = ['encrypt', '--with-key=tpm2-absent', `--name=${name}`, '-', at(file)];
  execFileSync('systemd-creds', args, { input: value, stdio: ['pipe', 'ignore', 'ignore'] });
  return at(file);
};
const skip = whyNotOnPath('systemd-creds');

t.test('opens what systemd-creds encrypted, by the name of its file or by "name"', { skip }, async t => {
  t.equal(await openOne({ systemdCredential: seal('api-key', 'hunter2\n') }), 'hunter2\n');
  const other = seal('api-key', 'hunter2\n', 'elsewhere.cred');
  t.equal(await openOne({ systemdCredential: other, name: 'api-key', trim: 'newline' }), 'hunter2');
  const error = await refusalOf({ systemdCredential: other });
  t.equal(error.code, 'secret_unreadable');
  t.match(
    error.message,
    /does not open: it was encrypted with another name than "elsewhere\.cred"\. Set "name"/,
  );
});

t.test('a damaged one opens nothing', { skip }, async t => {
  const sealed = execFileSync('cat', [seal('api-key', 'hunter2')], { encoding: 'latin1' });
  for (const [what, content] of [
    ['changed', sealed.replace(/(.{90})(.)/s, (_, start, one) => start + (one === 'A' ? 'B' : 'A'))],
    ['cut', sealed.slice(0, -30)],
  ] as const) {
    writeFileSync(at('damaged'), content);
    const error = await refusalOf({ systemdCredential: at('damaged'), name: 'api-key' });
    t.equal(error.code, 'secret_no_identity', what);
    t.match(
      error.message,
      /does not open: systemd-creds decrypt ended with status \d+\. It was encrypted on another host/,
    );
  }
});

t.test('a file of another kind says what it is', async t => {
  for (const [content, says] of [
    ['hunter2\n', /it is not a file of systemd-creds encrypt/],
    ['', /it is empty/],
    ['age-encryption.org/v1\n-> X25519 x\n', /it is an age file\. Name it as "age"/],
    ['a: ENC[AES256_GCM,data:x]\nsops:\n', /it is a sops file\. Name it as "sops"/],
  ] as const) {
    writeFileSync(at('other'), content);
    const error = await refusalOf({ systemdCredential: at('other') });
    t.equal(error.code, 'secret_corrupt');
    t.match(error.message, says);
    t.notMatch(error.message, 'hunter2');
  }
});

/** As systemd 257 answers, tried on one. */
t.test('asks the service of systemd where there is one', async t => {
  const file = Buffer.alloc(64, 1);
  Buffer.from('20000000010000000c00000010000000', 'hex').copy(file, 16);
  const sealed = `${file.toString('base64')}\n`;
  const requests: string[] = [];
  let answer = '';
  const service = join(socketFolder(t), 'service');
  const server = createServer(socket => {
    socket.on('error', () => {});
    socket.on('data', chunk => {
      requests.push(chunk.toString());
      // In two pieces, and the connection stays open.
      socket.write(answer.slice(0, 5));
      setImmediate(() => socket.write(`${answer.slice(5)}\0`));
    });
  }).listen(service);
  t.teardown(() => server.close());
  const open = async (name?: string) => {
    const source = { systemdCredential: '/etc/credstore.encrypted/api-key', ...(name && { name }) };
    const named = { vm: 'web', credential: 'A', source };
    const tools = {
      identities: undefined,
      unit: 'web.service',
      readFile: async () => Buffer.from(sealed),
      share: <Result>(_name: string, make: () => Promise<Result>) => make(),
    };
    const { decrypt } = await createSystemdCredentialReader(service)(named, tools);
    return decrypt?.();
  };
  answer = JSON.stringify({ parameters: { data: Buffer.from('hunter2').toString('base64') } });
  t.equal(String(await open()), 'hunter2');
  t.equal(
    requests[0],
    `${JSON.stringify({
      method: 'io.systemd.Credentials.Decrypt',
      parameters: { name: 'api-key', blob: file.toString('base64') },
    })}\0`,
  );
  answer = JSON.stringify({ error: 'io.systemd.Credentials.NameMismatch', parameters: {} });
  await t.rejects(open('other'), { code: 'secret_unreadable', message: /another name than "other"/ });
  answer = JSON.stringify({ error: 'io.systemd.Credentials.BadFormat', parameters: {} });
  await t.rejects(open(), {
    code: 'secret_no_identity',
    message: /systemd answers io\.systemd\.Credentials\.BadFormat\. /,
  });
  for (const strange of [
    'no JSON of hunter2',
    '{"error": "hunter2 is it"}',
    '{"parameters": {"data": 5}}',
    'null',
    '',
  ]) {
    answer = strange;
    const error = await open().catch(failure => failure);
    t.match(error, { code: 'secret_no_identity', message: /systemd answers what is no answer/ });
    t.notMatch(error.message, 'hunter2');
  }
});
