// What a start plans for a release: the program is a script that says which one it is.
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Definition } from '../../../src/definition/definition.js';
import { parseDefinition } from '../../../src/definition/parse-definition.js';
import { planVm } from '../../../src/hypervisor/cloud-hypervisor/plan-vm.js';
import type { VmPlan } from '../../../src/hypervisor/hypervisor.js';
import { vmPaths } from '../../../src/vm/vm-paths.js';

const KERNEL = ['--kernel', '/k'];

function programOf(t: Test, version: string): string {
  const path = join(t.testdir(), `cloud-hypervisor-${version}`);
  writeFileSync(path, `#!/bin/sh\necho 'cloud-hypervisor v${version}'\n`);
  chmodSync(path, 0o755);
  return path;
}

function define(more: Record<string, unknown>): Definition {
  return parseDefinition(
    { supervisor: 'daemon', ...more },
    { name: 'web', origin: 'file', path: '/web.json', directory: '/', defaultSupervisor: 'daemon' },
  );
}

function plan(t: Test, version: string, more: Record<string, unknown>): Promise<VmPlan> {
  const paths = vmPaths('/run/vmsecretd', 'web', 'daemon');
  return planVm(programOf(t, version), define(more), { paths, workingDirectory: '/', ownsConsole: true });
}

t.test('a body may be as long as the release takes', async t => {
  for (const [version, limitBytes] of [
    ['52.0.0', 51_200],
    ['53.0.0', 51_200],
    ['53.0-246-gae44c2971', 4_194_304],
    ['54.0.0', 4_194_304],
  ] as const)
    t.match(await plan(t, version, { command: KERNEL }), { packing: { limitBytes } }, version);
});

t.test('a command line is for the release of the program that runs it', async t => {
  const command = [...KERNEL, '--platform', 'uuid=u'];
  t.strictSame((await plan(t, '52.0.0', { command })).view([]).vmConfig?.platform, { uuid: 'u' });
  t.strictSame((await plan(t, '53.0.0', { command })).view([]).vmConfig?.platform, { system_uuid: 'u' });
  await t.rejects(plan(t, '50.0.0', { command: [...KERNEL, '--cpus', 'core_scheduling=off'] }), {
    code: 'command_invalid',
    details: { flag: '--cpus', key: 'core_scheduling', since: '52.0', release: '50.0' },
  });
});

t.test('a disk image without its format is refused before a start from 54 on, and only there', async t => {
  const disks = (...values: string[]) => ({
    command: [...KERNEL, ...values.flatMap(value => ['--disk', value])],
  });
  const untyped = disks('path=/a.img,image_type=raw', 'path=/store.erofs');
  for (const version of ['53.0.0', '53.0-246-gae44c2971']) t.ok(await plan(t, version, untyped), version);
  await t.rejects(plan(t, '54.0.0', untyped), {
    code: 'command_invalid',
    message: /\/store\.erofs has no image_type.*add image_type=raw.*storeDiskImageType/,
    details: { flag: '--disk', key: 'image_type' },
  });
  t.ok(await plan(t, '54.0.0', disks('path=/a.img,image_type=raw', 'vhost_user=on,socket=/s')));
  const vmConfig = { payload: { kernel: '/k' }, disks: [{ path: '/a.img', image_type: 'Unknown' }] };
  await t.rejects(plan(t, '54.0.0', { vmConfig }), {
    code: 'command_invalid',
    message: /"image_type": "Raw"/,
  });
});

t.test('the console is the serial port where that is a terminal', async t => {
  const command = [...KERNEL, '--serial', 'tty'];
  for (const [version, keepsOutput] of [
    ['52.0.0', false],
    ['53.0.0', true],
    ['54.0.0', true],
  ] as const) {
    const { view, console, waitsForVm } = await plan(t, version, { command });
    const { vmConfig } = view([]);
    t.equal(waitsForVm, true);
    t.match(console, { kind: 'socket', keepsOutput }, version);
    t.match(vmConfig, { serial: { mode: 'Socket' }, console: { mode: 'Null' } });
  }
});

t.test(
  "a virtio console that is a terminal, the program's own default, is shown in every release",
  async t => {
    for (const command of [KERNEL, [...KERNEL, '--console', 'tty', '--serial', 'off']]) {
      for (const version of ['50.0.0', '53.0.0', '53.0-246-gae44c2971']) {
        const { view, console } = await plan(t, version, { command });
        t.match(console, { kind: 'log', path: '/run/vmsecretd/logs/web.console.log' }, version);
        t.match(view([]).vmConfig?.console, { mode: 'File', file: '/run/vmsecretd/logs/web.console.log' });
      }
      const { view, console } = await plan(t, '54.0.0', { command });
      t.match(console, { kind: 'socket', keepsOutput: true });
      t.match(view([]).vmConfig?.console, { mode: 'Socket', socket: (console as { path: string }).path });
    }
    const whole = await plan(t, '54.0.0', { command: KERNEL, delivery: 'cmdline' });
    t.match(whole, { console: { kind: 'log' }, waitsForVm: false });
    t.match(whole.arguments.join(' '), '--console file=/run/vmsecretd/logs/web.console.log');
    t.equal((await plan(t, '53.0.0', { command: [...KERNEL, '--console', 'off'] })).console, undefined);
  },
);

t.test('on arm64 a guest has OEM strings from UEFI firmware of 54 or later only', async t => {
  const arch = Object.getOwnPropertyDescriptor(process, 'arch') as PropertyDescriptor;
  Object.defineProperty(process, 'arch', { ...arch, value: 'arm64' });
  t.teardown(() => Object.defineProperty(process, 'arch', arch));
  const oemStrings = ['a'];
  const firmware = { command: ['--firmware', '/edk2'], oemStrings };
  await t.rejects(plan(t, '53.0.0', firmware), {
    code: 'architecture_unsupported',
    message: /install 54\.0/,
  });
  await t.rejects(plan(t, '53.0-246-gae44c2971', firmware), { code: 'architecture_unsupported' });
  await t.rejects(plan(t, '54.0.0', { command: KERNEL, oemStrings }), {
    code: 'architecture_unsupported',
    message: /boot with --firmware/,
  });
  t.ok(await plan(t, '54.0.0', firmware));
  t.ok(await plan(t, '54.0.0', { command: KERNEL }), 'without OEM strings nothing is lost');
});
