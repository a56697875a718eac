// Delivery "cmdline", the exception: the whole command line of the real program, secrets in it, and said wherever one looks.
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { Canary } from '../canary.js';
import { decodeOemStrings, oemStringsOf } from '../guests/pvh/decode-oem-strings.js';
import { END_OF_OEM_STRINGS } from '../guests/pvh/pvh-guest.js';
import { TestDaemon } from './daemon.js';
import { CLOUD_HYPERVISOR, defineVm } from './vmm.js';

const options = { config: { hypervisors: CLOUD_HYPERVISOR.hypervisors } };

test('puts the secrets on the command line, and says so', {
  skip: CLOUD_HYPERVISOR.skip,
  timeout: 60_000,
}, async t => {
  const daemon = await TestDaemon.start(options);
  t.teardown(() => daemon.close());
  const rig = { daemon, canary: new Canary() };
  const { command, ...rest } = await defineVm(CLOUD_HYPERVISOR, rig, 'web', {
    more: { delivery: 'cmdline' },
  });
  const platform = ['--platform', 'serial_number=one,oem_strings=[io.systemd.credential:ROLE=front]'];
  await daemon.define('web', { ...rest, command: [...command, ...platform] });

  const checks = (await daemon.call('POST', '/v1/vms/web/check')).json;
  t.match(checks, { ok: true });
  t.match(JSON.stringify(checks), /every user of this host can read/);

  t.match(await daemon.act('web', 'start'), { state: 'running', exposed: true, delivery: 'cmdline' });
  const printed = await daemon.untilConsole('web', END_OF_OEM_STRINGS);
  t.equal(decodeOemStrings(printed).get('CANARY')?.toString(), rig.canary.text, 'the guest has it');
  t.equal(oemStringsOf(printed)[0], 'io.systemd.credential:ROLE=front', 'static strings stay first');

  const { pid } = await daemon.show('web');
  const argv = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  t.match(
    argv.find(word => word.startsWith('serial_number=one,')),
    /oem_strings=\[.*CANARY=.*\]$/,
    'other keys stay',
  );
  t.ok(
    daemon.log.some(record => record.level === 40 && /every user of this host/.test(String(record.msg))),
    'the log warns',
  );
  t.strictSame(rig.canary.searchFiles([daemon.state]), [], 'and yet it is in no file of the daemon');
  t.match(await daemon.act('web', 'stop'), { state: 'stopped' });
});

test('refuses what would not arrive unchanged', { skip: CLOUD_HYPERVISOR.skip, timeout: 60_000 }, async t => {
  const daemon = await TestDaemon.start(options);
  t.teardown(() => daemon.close());
  const rig = { daemon, canary: new Canary() };
  const more = { delivery: 'cmdline', oemStrings: ['a,b'] };
  await defineVm(CLOUD_HYPERVISOR, rig, 'web', { more });
  const refused = await daemon.call('POST', '/v1/vms/web/start');
  t.match(refused, { status: 422, json: { code: 'command_invalid', detail: /commas/ } });

  const large = await daemon.seal('large', 'x'.repeat(100_000));
  await defineVm(CLOUD_HYPERVISOR, rig, 'web', {
    more: { delivery: 'cmdline', credentials: { LARGE: { age: large } } },
  });
  const tooLong = await daemon.call('POST', '/v1/vms/web/start');
  t.match(tooLong, { status: 422, json: { code: 'command_invalid', detail: /131071|too long/ } });
  t.strictSame(daemon.vmms(), [], 'no VMM was left');
});
