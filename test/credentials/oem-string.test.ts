import fc from 'fast-check';
import { test } from 'tap';
import {
  buildCredentialString,
  credentialStringSize,
  hideCredentials,
} from '../../src/credentials/oem-string.js';
import { SecretValue } from '../../src/secrets/secret-value.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 200);

test('encodes any value as systemd reads it, at the size foretold', async () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const string = buildCredentialString('KEY', new SecretValue(Buffer.from(bytes)));
      const expected = `io.systemd.credential.binary:KEY=${Buffer.from(bytes).toString('base64')}`;
      return (
        string.toString('latin1') === expected && string.length === credentialStringSize('KEY', bytes.length)
      );
    }),
    { numRuns: ROUNDS },
  );
});

test('leaves the value as it was, for its owner to wipe', async t => {
  const bytes = Buffer.from('secret');
  buildCredentialString('KEY', new SecretValue(bytes));
  t.equal(bytes.toString(), 'secret');
});

test('hides the value of each credential that a text quotes, and nothing else', async t => {
  const quote = (value: string) =>
    `Error: "platform":{"oem_strings":["a=b","io.systemd.credential.binary:KEY=${value}","io.systemd.credential:ENV=${value}"]}`;
  t.equal(hideCredentials(quote('c2VjcmV0Cg==')), quote('<hidden>'));
  t.equal(
    hideCredentials('Some(["io.systemd.credential.binary:A=eA+/=="])'),
    'Some(["io.systemd.credential.binary:A=<hidden>"])',
  );
});
