import fc from 'fast-check';
import { test } from 'tap';
import { buildCredentialString } from '../../../src/credentials/oem-string.js';
import { buildCreateBody, writeVmConfig } from '../../../src/hypervisor/cloud-hypervisor/create-body.js';
import { SecretValue } from '../../../src/secrets/secret-value.js';

const ROUNDS = Number(process.env.VMSECRETD_ROUNDS ?? 200);
const LIMIT_BYTES = 51_200;

const encode = (name: string, value: Uint8Array) => ({
  name,
  oemString: buildCredentialString(name, new SecretValue(Buffer.from(value))),
});
const parse = (body: Buffer) => JSON.parse(body.toString('utf8'));

/** What a credential's name may be. */
const anyName = fc.stringMatching(/^[\x20-\x7e]{1,40}$/);

test('is the config with each credential as one more OEM string, whatever names, values and static strings', async t => {
  fc.assert(
    fc.property(
      fc.array(fc.string({ unit: 'grapheme' }), { maxLength: 3 }),
      fc.array(fc.tuple(anyName, fc.uint8Array({ maxLength: 50 })), { maxLength: 4 }),
      fc.string(),
      (staticStrings, credentials, cmdline) => {
        const config = {
          payload: { kernel: '/k', cmdline },
          platform: { system_uuid: ']}}', oem_strings: staticStrings },
        };
        const encoded = credentials.map(([name, value]) => encode(name, value));
        const body = parse(buildCreateBody('web', writeVmConfig(config), encoded, LIMIT_BYTES));
        const strings = encoded.map(({ oemString }) => oemString.toString('latin1'));
        const expected = {
          payload: config.payload,
          platform: { system_uuid: ']}}', oem_strings: [...staticStrings, ...strings] },
        };
        t.strictSame(body, expected);
      },
    ),
    { numRuns: ROUNDS },
  );
});

test('adds to a config without a platform', async t => {
  const body = buildCreateBody('web', writeVmConfig({}), [encode('K', Buffer.from('v'))], LIMIT_BYTES);
  t.strictSame(parse(body), { platform: { oem_strings: ['io.systemd.credential.binary:K=dg=='] } });
});

test('takes a body of just the limit and refuses one byte more, naming what is large and no value', async t => {
  const text = writeVmConfig({});
  const credentials = [encode('BIG', Buffer.from('S3CR3T')), encode('a', Buffer.alloc(1))];
  const { length } = buildCreateBody('web', text, credentials, LIMIT_BYTES);
  t.doesNotThrow(() => buildCreateBody('web', text, credentials, length));
  t.throws(() => buildCreateBody('web', text, credentials, length - 1), {
    code: 'credentials_too_large',
    message: /^VM web: .*vm\.create.*: BIG \d+, /,
  });
});

test('refuses credentials that overflow the SMBIOS area, however large a body may be', async t => {
  const credentials = [encode('BIG', Buffer.alloc(43_000))];
  t.throws(() => buildCreateBody('web', writeVmConfig({}), credentials, 4 * 1024 * 1024), {
    code: 'credentials_too_large',
    message: /SMBIOS area/,
  });
});

test('counts static OEM strings into the SMBIOS area', async t => {
  const text = writeVmConfig({ platform: { oem_strings: ['x'.repeat(30_000)] } });
  const credentials = [encode('BIG', Buffer.alloc(30_000))];
  t.throws(() => buildCreateBody('web', text, credentials, 4 * 1024 * 1024), {
    code: 'credentials_too_large',
  });
});

test('leaves the buffers of the credentials to their owner', async t => {
  const credential = encode('K', Buffer.from('value'));
  const before = Buffer.from(credential.oemString);
  buildCreateBody('web', writeVmConfig({}), [credential], LIMIT_BYTES);
  t.strictSame(credential.oemString, before);
});
