// Definitions on the real daemon: by PUT, by file, and what becomes of an invalid one.
import { execFileSync } from 'node:child_process';
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { VmView } from '../../src/vm/vm.js';
import type { TestDaemon } from './daemon.js';
import { daemonTest } from './daemon-test.js';
import { defineVm, STAND_IN } from './vmm.js';

const options = { config: { hypervisors: STAND_IN.hypervisors } };
const COMMAND = { supervisor: 'daemon', command: ['--kernel', '/nowhere/kernel'] };

function writeDefinition(daemon: TestDaemon, name: string, definition: unknown): string {
  const path = join(daemon.definitions, `${name}.json`);
  writeFileSync(path, typeof definition === 'string' ? definition : JSON.stringify(definition));
  return path;
}

async function names(daemon: TestDaemon): Promise<string[]> {
  const { vms } = (await daemon.call('GET', '/v1/vms')).json as { vms: VmView[] };
  return vms.map(vm => vm.name);
}

daemonTest('keeps a definition by PUT, gives it back as it was, and drops it', options, async (t, rig) => {
  const { daemon } = rig;
  t.match(await daemon.call('PUT', '/v1/vms/web', COMMAND), {
    status: 201,
    json: { name: 'web', state: 'stopped' },
  });
  const definition = await defineVm(STAND_IN, rig, 'web');
  t.match(await daemon.call('PUT', '/v1/vms/web', definition), { status: 200 });
  t.strictSame((await daemon.call('GET', '/v1/vms/web/definition')).json, definition);
  t.equal(statSync(join(daemon.state, 'vms', 'web.json')).mode & 0o777, 0o600);
  const { pid } = await daemon.act('web', 'start');
  t.match(await daemon.call('DELETE', '/v1/vms/web'), { status: 409, json: { code: 'state_conflict' } });
  await daemon.define('web', { ...definition, stopTimeoutSeconds: 5 });
  t.match(await daemon.show('web'), { state: 'running', pid }, 'PUT does not touch what runs');
  await daemon.act('web', 'stop');
  await daemon.stop();
  await daemon.restart();
  t.strictSame(await names(daemon), ['web'], 'it is kept over a restart');
  t.equal((await daemon.call('DELETE', '/v1/vms/web')).status, 204);
  t.match(await daemon.call('GET', '/v1/vms/web'), { status: 404, json: { code: 'vm_unknown' } });
});

daemonTest('refuses an invalid definition by PUT, naming each field', options, async (t, { daemon }) => {
  const invalid = { ...COMMAND, comand: 'x', credentials: { KEY: { age: 'relative.age', file: '/a' } } };
  const cases: [unknown, RegExp][] = [
    [invalid, /comand.*did you mean.*command/i],
    [{ ...COMMAND, credentials: { KEY: { age: '/a', file: '/b' } } }, /credentials\.KEY.*exactly one/],
    [{ ...COMMAND, credentials: { KEY: { age: 'relative.age' } } }, /credentials\.KEY\.age.*absolute path/],
    [{ ...COMMAND, delivery: 'fifo' }, /delivery.*"api" or "cmdline"/],
    [
      { vmConfig: { platform: { oem_strings: ['a', 1] } } },
      /vmConfig\.platform\.oem_strings\.1: must be string/,
    ],
    [{ vmConfig: { disks: {} } }, /vmConfig\.disks: must be array/],
    [{ vmConfig: { net: [null] } }, /vmConfig\.net\.0: must be object/],
    [{ vmConfig: { net: [{ mac: 5 }] } }, /vmConfig\.net\.0\.mac: must be string/],
    [{ vmConfig: { vsock: { cid: 3, socket: 5 } } }, /vmConfig\.vsock\.socket: must be string/],
    [{ vmConfig: { memory: { size: 2 ** 53 + 2 } } }, /vmConfig\.memory\.size: is beyond 2\^53/],
    [[], /./],
  ];
  for (const [definition, detail] of cases) {
    const answer = await daemon.call('PUT', '/v1/vms/web', definition);
    t.match(answer, { status: 422, json: { code: 'definition_invalid', detail } }, String(detail));
  }
  const misnamed = await daemon.call('PUT', '/v1/vms/.web', COMMAND);
  t.match(misnamed, { status: 422, json: { code: 'definition_invalid', detail: /valid VM name/ } });
  t.strictSame(await names(daemon), []);
});

daemonTest(
  'reads definition files again, and keeps the last good version of an invalid one',
  options,
  async (t, rig) => {
    const { daemon } = rig;
    const path = writeDefinition(daemon, 'web', COMMAND);
    writeDefinition(daemon, 'db', COMMAND);
    t.match(await daemon.call('POST', '/v1/reload'), { status: 200, json: { definitions: 2, problems: [] } });
    t.match(await daemon.show('web'), { origin: 'file', state: 'stopped' });
    for (const [method, body] of [
      ['PUT', COMMAND],
      ['DELETE', undefined],
    ] as const) {
      const answer = await daemon.call(method, '/v1/vms/web', body);
      t.match(answer, { status: 409, json: { code: 'definition_from_file', path } }, method);
    }
    for (const [broken, message] of [
      [{ ...COMMAND, restart: 'sometimes' }, /web\.json .*restart/],
      ['{"command": ', /web\.json is not JSON/],
    ] as const) {
      writeDefinition(daemon, 'web', broken);
      const answer = await daemon.call('POST', '/v1/reload');
      t.match(answer.json, { definitions: 2, problems: [{ path, message }] });
      t.match(await daemon.show('web'), { origin: 'file' });
      t.strictSame(await names(daemon), ['db', 'web']);
    }
    rmSync(path);
    t.match((await daemon.call('POST', '/v1/reload')).json, { definitions: 1, problems: [] });
    t.strictSame(await names(daemon), ['db']);
  },
);

daemonTest(
  'reads definition files again at SIGHUP, and logs what is invalid',
  options,
  async (t, { daemon }) => {
    writeDefinition(daemon, 'web', COMMAND);
    const path = writeDefinition(daemon, 'broken', { ...COMMAND, colour: 'red' });
    daemon.signal('SIGHUP');
    const record = await daemon.until('the invalid file is logged', () =>
      daemon.log.find(told => told.path === path),
    );
    t.match(record, { level: 40, message: /broken\.json .*colour/ });
    t.strictSame(await names(daemon), ['web']);
  },
);

daemonTest(
  'lets a file win over a kept definition of its name, and reports both',
  options,
  async (t, { daemon }) => {
    await daemon.define('web', COMMAND);
    const path = writeDefinition(daemon, 'web', COMMAND);
    const { problems } = (await daemon.call('POST', '/v1/reload')).json as {
      problems: { message: string }[];
    };
    t.match(problems, [{ message: `${path} wins over ${join(daemon.state, 'vms', 'web.json')}` }]);
    t.match(await daemon.show('web'), { origin: 'file' });
  },
);

daemonTest('starts with invalid files there, and with what has autostart', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = await defineVm(STAND_IN, rig, 'web');
  await daemon.stop();
  writeDefinition(daemon, 'auto', { ...definition, autostart: true });
  writeDefinition(daemon, 'broken', '{');
  await daemon.restart();
  await daemon.untilVm('auto', 'runs', vm => vm.state === 'running');
  t.match(await daemon.show('web'), { state: 'stopped' });
  const detail = `There is no VM broken. Its file ${join(daemon.definitions, 'broken.json')} is invalid`;
  t.match(await daemon.call('POST', '/v1/vms/broken/start'), {
    status: 404,
    json: { code: 'vm_unknown', vm: 'broken', detail },
  });
});

daemonTest('takes null in a VM config as what is not there', options, async (t, { daemon }) => {
  const vmConfig = {
    payload: { kernel: '/k', initramfs: null },
    platform: { oem_strings: null },
    disks: null,
  };
  await daemon.define('web', { supervisor: 'daemon', vmConfig });
  t.match(await daemon.call('GET', '/v1/vms/web/command'), {
    status: 200,
    json: { vmConfig: { payload: { kernel: '/k' } } },
  });
});

daemonTest('reports a definition that is a FIFO, or larger than 1 MiB', options, async (t, { daemon }) => {
  execFileSync('mkfifo', [join(daemon.definitions, 'fifo.json')]);
  writeDefinition(daemon, 'large', ' '.repeat(1024 * 1024 + 1));
  writeDefinition(daemon, 'web', COMMAND);
  const { json } = await daemon.call('POST', '/v1/reload');
  t.match(json, { problems: [{ message: /fifo.*not a regular file/ }, { message: /large.*the limit is/ }] });
  t.strictSame(await names(daemon), ['web']);
});

daemonTest(
  'a definition that is nested without end, or has a number without end, is a problem of its file',
  options,
  async (t, { daemon }) => {
    const vmConfig = (text: string) => `{"supervisor": "daemon", "vmConfig": ${text}}`;
    writeDefinition(daemon, 'deep', vmConfig(`{"a": ${'['.repeat(100_000)}${']'.repeat(100_000)}}`));
    writeDefinition(daemon, 'endless', vmConfig('{"memory": {"size": 1e400}}'));
    writeDefinition(daemon, 'web', COMMAND);
    const { json } = await daemon.call('POST', '/v1/reload');
    t.match(json, {
      problems: [{ message: /deep.*nested deeper/ }, { message: /endless.*memory\.size: is beyond/ }],
    });
    await daemon.stop();
    await daemon.restart();
    t.strictSame(await names(daemon), ['web']);
  },
);

daemonTest('a reload that is on its way undoes no change', options, async (t, { daemon }) => {
  for (let index = 0; index < 300; index += 1) writeDefinition(daemon, `vm${index}`, COMMAND);
  for (let round = 0; round < 5; round += 1) {
    const reload = daemon.call('POST', '/v1/reload', undefined, 'vmsecretd');
    await daemon.define('web', { ...COMMAND, oemStrings: [`round ${round}`] });
    await reload;
    const { json } = await daemon.call('GET', '/v1/vms/web/command');
    t.match(json, { vmConfig: { platform: { oem_strings: [`round ${round}`] } } });
    const again = daemon.call('POST', '/v1/reload', undefined, 'vmsecretd');
    await daemon.call('DELETE', '/v1/vms/web');
    await again;
    t.match(await daemon.call('GET', '/v1/vms/web'), { status: 404 });
  }
});

daemonTest(
  'shows the complete command: notify, vmConfig, and what a launcher has not brought',
  options,
  async (t, { daemon }) => {
    const vsock = ['--vsock', 'cid=3,socket=v.sock', '--platform', 'oem_strings=[first]'];
    const credentials = { KEY: { file: '/secrets/key' } };
    await daemon.define('web', {
      ...COMMAND,
      command: ['--kernel', '/k', ...vsock],
      ready: 'notify',
      oemStrings: ['second'],
      credentials,
    });
    const shown = await daemon.ctl('command', 'web');
    t.match(
      shown.stdout,
      /oem_strings=\[first,second,io\.systemd\.credential:vmm\.notify_socket=vsock-stream:2:8888,io\.systemd\.credential\.binary:KEY=</,
    );
    await daemon.define('json', { supervisor: 'daemon', vmConfig: { payload: { kernel: '/k' } } });
    const json = await daemon.ctl('command', 'json');
    t.match(
      json.stdout,
      /cloud-hypervisor --api-socket .*\n# with this as the body of vm\.create\n\{[\s\S]*"kernel": "\/k"/,
    );
    await daemon.define('unit', { supervisor: 'unit', unit: 'unit.service' });
    t.match((await daemon.call('GET', '/v1/vms/unit/command')).json, {
      code: 'state_conflict',
      detail: /its command is brought by the launcher of unit\.service; start the VM/,
    });
  },
);

daemonTest('notices files that come, change and go in the definitions folder', options, async (t, rig) => {
  const { daemon } = rig;
  const definition = { supervisor: 'daemon', command: ['--kernel', '/k'] };
  const write = (name: string, text: string) => writeFileSync(join(daemon.definitions, name), text);
  const namesAre = (names: readonly string[]) =>
    daemon.until(`the VMs are ${names}`, async () => {
      const { vms } = (await daemon.call('GET', '/v1/vms')).json as { vms: { name: string }[] };
      return vms.map(({ name }) => name).join() === names.join();
    });
  write('web.json', JSON.stringify(definition));
  await namesAre(['web']);
  t.ok(
    daemon.events.some(({ type, vm, change }) => type === 'definition' && vm === 'web' && change === 'added'),
  );
  write('web.json', JSON.stringify({ ...definition, restart: 'always' }));
  await daemon.until('the change is an event', () =>
    daemon.events.some(({ type, change }) => type === 'definition' && change === 'changed'),
  );
  write('db.json', '{"comand": []}');
  const problems = await daemon.until('the invalid file is reported', async () => {
    const { problems } = (await daemon.call('GET', '/v1/vms')).json as { problems: unknown[] };
    return problems.length > 0 ? problems : undefined;
  });
  t.match(problems, [{ path: join(daemon.definitions, 'db.json'), message: /comand/ }]);
  t.match(await daemon.ctl('list'), {
    status: 0,
    stdout: /\nweb +stopped .*\ndb +invalid +- .*\/db\.json; vmsecretctl reload says why\n$/,
  });
  t.match(await daemon.ctl('list', '--state', 'invalid'), { stdout: /^NAME.*\ndb +invalid.*\n$/ });
  rmSync(join(daemon.definitions, 'web.json'));
  await namesAre([]);
});
