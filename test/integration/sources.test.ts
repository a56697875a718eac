// Every kind of source, from a definition to what a guest on the real VMM has, with files of the real tools.
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { identityToRecipient } from 'age-encryption';
import { decodeOemStrings } from '../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { whyNotOnPath } from '../setup/programs.js';
import { encryptWithSops, whyNoSops } from '../setup/sops-program.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, STAND_IN } from './vmm.js';

const real = { config: { hypervisors: CLOUD_HYPERVISOR.hypervisors } };
const standIn = { config: { hypervisors: STAND_IN.hypervisors } };

/** Each has the rig's secret. */
async function makeSources({ daemon, canary }: Rig, skipped: (what: string) => void) {
  const at = (name: string) => join(daemon.secrets, name);
  const recipient = await identityToRecipient(
    readFileSync(join(daemon.folder, 'identity.txt'), 'utf8').trim(),
  );
  const sources: Record<string, object> = {};
  const noSops = whyNoSops();
  if (noSops) skipped(noSops);
  else {
    const seal = (name: string, format: string, plain: string) => {
      writeFileSync(at(name), encryptWithSops(plain, format, recipient));
      return at(name);
    };
    const yaml = seal(
      'secrets.yaml',
      'yaml',
      `my-app:\n    api-key: ${canary.text}\n    list: [a, ${canary.text}]\n`,
    );
    sources.YAML = { sops: yaml, key: 'my-app/api-key' };
    sources.LIST = { sops: yaml, key: 'my-app/list/1' };
    sources.JSON = { sops: seal('secrets.json', 'json', JSON.stringify({ a: canary.text })), key: 'a' };
    sources.DOTENV = { sops: seal('secrets.env', 'dotenv', `A=${canary.text}\n`), key: 'A' };
    sources.INI = { sops: seal('secrets.ini', 'ini', `[a]\nb = ${canary.text}\n`), key: 'a/b' };
    // As clan keeps its secrets: no name that tells a format.
    sources.BINARY = { sops: seal('secret', 'binary', canary.text) };
  }
  const noCreds = whyNotOnPath('systemd-creds');
  if (noCreds) skipped(noCreds);
  else {
    const args = ['encrypt', '--with-key=tpm2-absent', '--name=api-key', '-', at('api-key')];
    execFileSync('systemd-creds', args, { input: canary.text, stdio: ['pipe', 'ignore', 'ignore'] });
    sources.CREDENTIAL = { systemdCredential: at('api-key') };
  }
  writeFileSync(at('store'), canary.text, { mode: 0o600 });
  sources.PROGRAM = { program: ['cat', at('store')], watch: [at('store')] };
  const service = createServer(socket => socket.end(canary.text)).listen(at('service.sock'));
  await once(service, 'listening');
  sources.SOCKET = { socket: at('service.sock') };
  return { sources, close: () => service.close() };
}

daemonTest(
  'a guest has the value of every kind of source, byte for byte',
  { ...real, skip: CLOUD_HYPERVISOR.skip },
  async (t, rig) => {
    const { daemon, canary } = rig;
    const { sources, close } = await makeSources(rig, what => t.comment(`skipped: ${what}`));
    t.teardown(close);
    await defineVm(CLOUD_HYPERVISOR, rig, 'web', { more: { credentials: sources } });
    const check = (await daemon.call('POST', '/v1/vms/web/check')).json;
    t.match(check, { ok: true });
    t.match(
      JSON.stringify(check),
      `program cat ${daemon.secrets}/store (`,
      'a program is shown as it is run',
    );
    await daemon.act('web', 'start');
    const delivered = decodeOemStrings(await daemon.untilConsole('web', END_OF_OEM_STRINGS));
    for (const name of Object.keys(sources)) t.equal(delivered.get(name)?.toString(), canary.text, name);
    const { credentials } = await daemon.show('web');
    t.match(
      credentials.find(({ name }) => name === 'PROGRAM'),
      { source: 'program', path: null, from: `cat ${daemon.secrets}/store`, sizeBytes: canary.text.length },
    );
  },
);

daemonTest('shows as outdated the value that changed, and no other of its file', standIn, async (_t, rig) => {
  const { daemon } = rig;
  const at = (name: string) => join(daemon.secrets, name);
  const fixture = (file: string) => readFileSync(join('test/fixtures/sops', file), 'utf8');
  const identities = [join(daemon.folder, 'identity.txt'), at('key')];
  writeFileSync(at('key'), fixture('keys/age'), { mode: 0o600 });
  const before = fixture('v3.11.0/encrypted-regex.yaml');
  writeFileSync(at('secrets.yaml'), before);
  writeFileSync(at('store'), 'first');
  await defineVm(STAND_IN, rig, 'web', {
    more: {
      identities,
      credentials: {
        PASSWORD: { sops: at('secrets.yaml'), key: 'password' },
        NESTED: { sops: at('secrets.yaml'), key: 'nested/password' },
        PROGRAM: { program: ['cat', at('store')], watch: [at('store')] },
        UNWATCHED: { program: ['date', '+%N'] },
      },
    },
  });
  await daemon.act('web', 'start');
  const change = (reasons: string[]) =>
    daemon.untilVm('web', `is outdated by ${reasons}`, vm => String(vm.outdated) === String(reasons));
  // Another value, as another encryption of the same would be.
  writeFileSync(
    at('secrets.yaml'),
    before.replace(/^password: ENC.*/m, 'password: ENC[AES256_GCM,data:YQ==]'),
  );
  await change(['credential PASSWORD']);
  writeFileSync(at('secrets.yaml'), before.replace(/^user: .*/m, 'user: other'));
  await change([]);
  writeFileSync(at('store'), 'second');
  await change(['credential PROGRAM']);
});

daemonTest('a program that fails tells root alone what it wrote', standIn, async (t, rig) => {
  const { daemon, canary } = rig;
  const program = join(daemon.folder, 'leaks');
  writeFileSync(program, `#!/bin/sh\necho "cannot: ${canary.text}" >&2\nexit 3\n`);
  chmodSync(program, 0o755);
  await defineVm(STAND_IN, rig, 'web', { more: { credentials: { LEAKS: { program: [program] } } } });
  const detail = /credential LEAKS: the program .*leaks ended with status 3\./;
  const operator = [
    await daemon.call('POST', '/v1/vms/web/start', undefined, 'vmsecretd'),
    await daemon.call('POST', '/v1/vms/web/check', undefined, 'vmsecretd'),
    await daemon.call('GET', '/v1/vms/web', undefined, 'vmsecretd'),
  ];
  for (const { body } of operator) {
    t.match(body.toString(), detail);
    t.strictSame(canary.searchText('an operator', body), []);
  }
  const root = [
    await daemon.call('POST', '/v1/vms/web/start'),
    await daemon.call('POST', '/v1/vms/web/check'),
    await daemon.call('GET', '/v1/vms/web'),
  ];
  for (const { body } of root) t.match(body.toString(), `cannot: ${canary.text}`);
  await daemon.call('DELETE', '/v1/vms/web');
  // What root was told is root's.
  daemon.said.splice(
    0,
    daemon.said.length,
    ...daemon.said.filter(said => !root.some(({ body }) => said.equals(body))),
  );
});

daemonTest('operators define no source of any kind', standIn, async (t, { daemon }) => {
  for (const source of [
    { program: ['id'] },
    { socket: '/run/x.sock' },
    { sops: '/x', key: 'a' },
    { text: 'x' },
  ]) {
    const definition = { command: STAND_IN.command('/x'), credentials: { A: source } };
    t.match(await daemon.call('PUT', '/v1/vms/web', definition, 'vmsecretd'), {
      status: 403,
      json: { code: 'forbidden' },
    });
  }
  t.match(await daemon.call('GET', '/v1/vms/web'), { status: 404 });
});
