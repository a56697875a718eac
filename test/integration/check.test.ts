// A check tells everything that keeps a VM from starting, as its VMM's user will find it, and calls nothing good unseen.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { whyNotRoot } from '../setup/programs.js';
import { daemonTest, type Rig } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

interface Check {
  name: string;
  ok: boolean;
  code: string | null;
  detail: string;
}

async function check({ daemon }: Rig, name: string): Promise<{ ok: boolean; checks: Check[] }> {
  return (await daemon.call('POST', `/v1/vms/${name}/check`)).json as { ok: boolean; checks: Check[] };
}

const failuresOf = (checks: readonly Check[]) =>
  checks.filter(({ ok }) => !ok).map(({ name, code }) => `${name}: ${code}`);
const options = { config: { hypervisors: STAND_IN.hypervisors } };

daemonTest('a check tells every credential that does not open', options, async (t, rig) => {
  const { daemon } = rig;
  const credentials = {
    LOST: { age: join(daemon.secrets, 'nowhere.age') },
    GOOD: { age: await daemon.seal('good', rig.canary.text) },
    FOLDER: { file: daemon.secrets },
    CUT: { age: await daemon.seal('cut', 'x') },
  };
  writeFileSync(credentials.CUT.age, 'no age file at all');
  const definition = await defineVm(STAND_IN, rig, 'web', { more: { credentials } });
  await daemon.define('web', { ...definition, command: [...definition.command, '--disk', 'path=/nope.img'] });
  const { ok, checks } = await check(rig, 'web');
  t.equal(ok, false);
  t.strictSame(failuresOf(checks), [
    'host: resource_conflict',
    'credential LOST: secret_missing',
    'credential FOLDER: secret_unreadable',
    'credential CUT: secret_corrupt',
  ]);
  const good = checks.filter(item => item.ok).map(({ name }) => name);
  t.ok(good.includes('credential GOOD') && good.includes('credential CANARY'));
  await daemon.define('web', { ...definition, command: ['--kernle', '/x'] });
  const withoutCommand = await check(rig, 'web');
  t.strictSame(failuresOf(withoutCommand.checks), [
    'option --kernle: command_invalid',
    'credential LOST: secret_missing',
    'credential FOLDER: secret_unreadable',
    'credential CUT: secret_corrupt',
  ]);
});

daemonTest(
  'a check of a unit looks at the host, and says what it did not look at',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    const disk = join(daemon.folder, 'disk.img');
    writeFileSync(disk, '');
    const command = [
      ...['--kernel', '/nope', '--disk', `path=${disk}`, 'path=/no/disk.img'],
      ...['--fs', 'tag=store,socket=/no/fs.sock', '--net', 'tap=no-such-tap'],
    ];
    await daemon.define('web', { supervisor: 'unit', unit: 'web.service', command });
    const { ok, checks } = await check(rig, 'web');
    t.equal(ok, false);
    const failed = checks.filter(item => !item.ok).map(({ detail }) => detail);
    t.match(failed, [/kernel \/nope does not exist/, /\/no\/disk\.img does not exist/]);
    const unseen = checks.filter(({ name }) => name === 'warning').map(({ detail }) => detail);
    t.match(unseen.join('\n'), /not looked at: virtiofs socket \/no\/fs\.sock/);
    t.match(unseen.join('\n'), /not looked at: tap no-such-tap/);
    t.match(unseen.join('\n'), `not looked at: disk image ${disk}`, 'a unit may have a /tmp of its own');
    t.notOk(checks.some(({ name, ok }) => name === 'host' && ok));
    await daemon.define('launched', { supervisor: 'unit', unit: 'launched.service' });
    const launched = await check(rig, 'launched');
    t.match(
      launched.checks.find(({ name }) => name === 'warning'),
      { detail: /not looked at: what the command of launched\.service needs/ },
    );
    t.notOk(launched.checks.some(({ name }) => name === 'host'));
  },
);

daemonTest('a check looks as the user of the VMM', { ...options, skip: whyNotRoot() }, async (t, rig) => {
  const { daemon } = rig;
  for (const folder of [daemon.folder, daemon.runtime]) chmodSync(folder, 0o711);
  const definition = await defineVm(STAND_IN, rig, 'web', { more: { user: 'nobody' } });
  const disk = join(daemon.folder, 'disk.img');
  writeFileSync(disk, '', { mode: 0o644 });
  const define = (option: string) =>
    daemon.define('web', {
      ...definition,
      user: 'nobody',
      command: [...definition.command, '--disk', `path=${disk}${option}`],
    });
  await define(',readonly=on');
  t.match(failuresOf((await check(rig, 'web')).checks), []);
  await define('');
  const { checks } = await check(rig, 'web');
  t.match(
    checks.filter(item => !item.ok),
    [{ detail: /disk\.img may not be read and written by its VMM’s user nobody; namei -l/ }],
  );
  t.match((await daemon.call('POST', '/v1/vms/web/start')).json, { code: 'resource_conflict' });
  rmSync(disk);
});

daemonTest('a check admits the memory of a VM, and a start does not ask for it', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'web');
  const withMemory = async (...memory: string[]) => {
    const command = definition.command.map(word => (word.startsWith('size=') ? memory[0] : word));
    await daemon.define('web', { ...definition, command: [...command, ...memory.slice(1)] });
    return (await check(rig, 'web')).checks.find(({ name }) => name === 'memory');
  };
  t.match(await withMemory('size=64M'), { ok: true, detail: /^64 MiB of memory, [\d.]+ GiB available$/ });
  const tooMuch = /VM web: it needs 10240 GiB of memory, [\d.]+ GiB available; give it less/;
  t.match(await withMemory('size=10240G'), { ok: false, code: 'resource_conflict', detail: tooMuch });
  const zones = ['size=0', '--memory-zone', 'id=a,size=5120G', '--memory-zone', 'id=b,size=5120G'];
  t.match(await withMemory(...zones), { ok: false, detail: tooMuch });
  const huge = await withMemory('size=10240G,hugepages=on,hugepage_size=1G');
  t.match(huge, { ok: false, detail: /10240 GiB of memory in pages of 1 GiB, .*nr_hugepages/ });
  await daemon.act('web', 'start');
  t.match(await withMemory('size=10240G'), { ok: true, detail: /the VM runs/ });
});
