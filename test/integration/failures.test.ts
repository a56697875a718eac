// What must not start does not: no VMM is left, and the error says what was wrong and what to do.
import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Encrypter, generateIdentity, identityToRecipient } from 'age-encryption';
import type { Test } from 'tap';
import { daemonTest, type Rig } from './daemon-test.js';
import { CLOUD_HYPERVISOR, defineVm, QEMU, STAND_IN, type VmOptions, type Vmm } from './vmm.js';

interface Failure {
  title: string;
  /** Makes it so; gives what the definition has more. */
  arrange(rig: Rig): Promise<VmOptions['more']> | VmOptions['more'];
  code: string;
  detail: RegExp;
}

const AGE_FILES: readonly Failure[] = [
  {
    title: 'whose age file is missing',
    arrange: rig => {
      rmSync(ageFile(rig));
      return {};
    },
    code: 'secret_missing',
    detail: /credential CANARY: .*canary\.age does not exist\. Create it/,
  },
  {
    title: 'whose age file lacks its last byte',
    arrange: rig => {
      truncateSync(ageFile(rig), readFileSync(ageFile(rig)).length - 1);
      return {};
    },
    code: 'secret_corrupt',
    detail: /credential CANARY: .*canary\.age does not open: .*Restore it/,
  },
  {
    title: 'whose age file is encrypted to another key',
    arrange: async rig => {
      const encrypter = new Encrypter();
      encrypter.addRecipient(await identityToRecipient(await generateIdentity()));
      writeFileSync(ageFile(rig), await encrypter.encrypt(rig.canary.text));
      return {};
    },
    code: 'secret_no_identity',
    detail: /credential CANARY: .*canary\.age does not open: .*Tried: .*identity\.txt/,
  },
  {
    title: 'whose identity does not exist',
    arrange: rig => ({ identities: [join(rig.daemon.folder, 'nobody.txt')] }),
    code: 'secret_no_identity',
    detail: /There is no identity to try\. .*nobody\.txt/,
  },
  {
    title: 'whose plain secret is a folder',
    arrange: rig => ({ credentials: { PLAIN: { file: rig.daemon.secrets } } }),
    code: 'secret_unreadable',
    detail: /credential PLAIN: .*secrets is refused/,
  },
  {
    title: 'whose secret has over 1 MiB',
    arrange: rig => {
      const path = join(rig.daemon.secrets, 'large');
      writeFileSync(path, Buffer.alloc(1024 * 1024 + 1));
      return { credentials: { LARGE: { file: path } } };
    },
    code: 'secret_too_large',
    detail: /credential LARGE: .*large is refused/,
  },
];

const CREDENTIALS: readonly Failure[] = [
  {
    title: 'whose credentials do not fit, saying what takes the room',
    arrange: async rig => ({ credentials: { HUGE: { age: await rig.daemon.seal('huge', Buffer.alloc(60_000)) } } }),
    code: 'credentials_too_large',
    detail: /do not fit into .*HUGE \d{5}/,
  },
  {
    title: 'whose static strings have the name of a secret already',
    arrange: () => ({ oemStrings: ['io.systemd.credential:CANARY=open'] }),
    code: 'credential_duplicate',
    detail: /credential CANARY is there twice/,
  },
  {
    title: 'whose credential has a name with =',
    arrange: () => ({ credentials: { 'A=B': { text: 'x' } } }),
    code: 'credential_name_invalid',
    detail: /A=B/,
  },
  {
    title: 'with 256 OEM strings',
    arrange: () => ({ oemStrings: Array.from({ length: 255 }, (_, at) => `string-${at}`) }),
    code: 'credentials_too_many',
    detail: /256 OEM strings/,
  },
];

function ageFile({ daemon }: Rig): string {
  return join(daemon.secrets, 'canary.age');
}

function expectFailure(vmm: Vmm, { title, arrange, code, detail }: Failure): void {
  const options = { skip: vmm.skip, config: { hypervisors: vmm.hypervisors } };
  daemonTest(`${vmm.name}: does not start a VM ${title}`, options, async (t, rig) => {
    const { daemon } = rig;
    await defineVm(vmm, rig, 'web');
    const more = await arrange(rig);
    const hadToBeThere = title.includes('missing') || code === 'secret_corrupt' || code === 'secret_no_identity';
    if (!hadToBeThere || Object.keys(more ?? {}).length > 0) await defineVm(vmm, rig, 'web', { more: more ?? {} });
    await refusesToStart(t, rig, code, detail);
    const report = (await daemon.call('POST', '/v1/vms/web/check')).json as { checks: { ok: boolean }[] };
    t.match(report, { ok: false });
    t.match(report.checks.find(check => !check.ok), { code, detail }, 'a check says the same');
  });
}

async function refusesToStart(t: Test, { daemon }: Rig, code: string, detail: RegExp): Promise<void> {
  const answer = await daemon.call('POST', '/v1/vms/web/start');
  t.match(answer, { type: /^application\/problem\+json/, json: { code, detail, status: answer.status } });
  t.ok(answer.status >= 400, `status ${answer.status}`);
  t.strictSame(daemon.vmms(), [], 'no VMM was left');
  t.match(await daemon.show('web'), { state: 'failed', pid: null, problem: { code, detail } });
}

for (const failure of AGE_FILES) expectFailure(QEMU, failure);
